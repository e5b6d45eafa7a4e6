-- How often each title was rented, bought and advertised by a trailer in one arrival month
-- month: 'yyyy-MM'
select
    title,
    category_name,
    count_if(eventtype = 'rent') as rentals,
    count_if(eventtype = 'buy') as purchases,
    count_if(eventtype = 'trailer') as trailers,
    count(*) as streams
from curated.streaming_films
where
    partition_0 = '{{ month[:4] }}'
    and partition_1 = '{{ month[5:] }}'
group by title, category_name
order by streams desc, title asc, category_name asc
