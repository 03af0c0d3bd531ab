{{ config(materialized='incremental', incremental_strategy='insert_overwrite') }}
select order_id, {{ var('run', 1) }} as run_number
from {{ ref('stg_orders') }}
