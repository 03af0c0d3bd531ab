MODEL (name shop.totals, kind FULL, audits (not_null(columns := (customer)), unique_values(columns := (customer))));
SELECT customer, sum(amount) AS total FROM shop.orders GROUP BY customer
