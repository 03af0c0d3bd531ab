{{ config(materialized='incremental', incremental_strategy='append') }}
select order_id, {{ var('run', 1) }} as run_number
from {{ ref('stg_orders') }}
{% if is_incremental() %} where order_id >= 12 {% endif %}
