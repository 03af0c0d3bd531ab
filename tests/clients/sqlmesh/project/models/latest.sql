MODEL (name shop.latest, kind INCREMENTAL_BY_UNIQUE_KEY (unique_key id));
SELECT id, customer, amount FROM shop.orders
