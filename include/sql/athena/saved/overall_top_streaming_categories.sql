-- Returns a list of all categories, sorted by highest number of views
with

streams_by_category as (
    select
        category_name,
        -- films that are not in the library have no category: their line shows 0
        count(category_name) as streams
    from streaming_films
    group by category_name
)

select
    category_name,
    streams
from streams_by_category
order by streams desc, category_name asc
