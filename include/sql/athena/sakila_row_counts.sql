-- Rows of each clean table, as analysts see them.
SELECT
    'actor' AS table_name,
    count(*) AS row_count
FROM sakila.actor
UNION ALL
SELECT
    'address' AS table_name,
    count(*) AS row_count
FROM sakila.address
UNION ALL
SELECT
    'category' AS table_name,
    count(*) AS row_count
FROM sakila.category
UNION ALL
SELECT
    'city' AS table_name,
    count(*) AS row_count
FROM sakila.city
UNION ALL
SELECT
    'country' AS table_name,
    count(*) AS row_count
FROM sakila.country
UNION ALL
SELECT
    'customer' AS table_name,
    count(*) AS row_count
FROM sakila.customer
UNION ALL
SELECT
    'film' AS table_name,
    count(*) AS row_count
FROM sakila.film
UNION ALL
SELECT
    'film_actor' AS table_name,
    count(*) AS row_count
FROM sakila.film_actor
UNION ALL
SELECT
    'film_category' AS table_name,
    count(*) AS row_count
FROM sakila.film_category
UNION ALL
SELECT
    'film_text' AS table_name,
    count(*) AS row_count
FROM sakila.film_text
UNION ALL
SELECT
    'inventory' AS table_name,
    count(*) AS row_count
FROM sakila.inventory
UNION ALL
SELECT
    'language' AS table_name,
    count(*) AS row_count
FROM sakila.language
UNION ALL
SELECT
    'payment' AS table_name,
    count(*) AS row_count
FROM sakila.payment
UNION ALL
SELECT
    'rental' AS table_name,
    count(*) AS row_count
FROM sakila.rental
UNION ALL
SELECT
    'staff' AS table_name,
    count(*) AS row_count
FROM sakila.staff
UNION ALL
SELECT
    'store' AS table_name,
    count(*) AS row_count
FROM sakila.store
