-- The number of films in the clean zone: curated.film_category must hold each of them once
select count(*) as films from sakila.film
