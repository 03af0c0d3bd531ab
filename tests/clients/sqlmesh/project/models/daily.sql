MODEL (name shop.daily, kind INCREMENTAL_BY_TIME_RANGE (time_column day), start '2024-05-01', cron '@daily');
SELECT day, count(*) AS n FROM shop.orders WHERE day BETWEEN @start_date AND @end_date GROUP BY day
