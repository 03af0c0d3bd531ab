MODEL (name shop.orders, kind SEED (path '../seeds/orders.csv'), columns (id INT, customer STRING, amount DECIMAL(10,2), day DATE));
