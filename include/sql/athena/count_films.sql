-- Films in the clean zone: film_category must hold each of them once.
SELECT count(*) AS films FROM sakila.film
