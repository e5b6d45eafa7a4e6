-- How each title did in one arrival month: rentals, purchases, trailers.
SELECT
    title,
    category_name,
    count_if(eventtype = 'rent') AS rentals,
    count_if(eventtype = 'buy') AS purchases,
    count_if(eventtype = 'trailer') AS trailers,
    count(*) AS streams
FROM curated.streaming_films
WHERE
    partition_0 = '{{ ti.xcom_pull(task_ids="choose_month")[:4] }}'
    AND partition_1 = '{{ ti.xcom_pull(task_ids="choose_month")[5:] }}'
GROUP BY title, category_name
ORDER BY streams DESC, title ASC
