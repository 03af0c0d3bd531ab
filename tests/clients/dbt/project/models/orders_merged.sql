{{ config(materialized='incremental', incremental_strategy='merge', unique_key='order_id') }}
select order_id, amount, {{ var('run', 1) }} as run_number
from {{ ref('stg_orders') }}
{% if is_incremental() %} where order_id >= 12 {% endif %}
