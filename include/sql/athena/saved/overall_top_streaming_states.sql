-- Returns a list of all states, sorted by highest number of views
with

streams_by_state as (
    select
        state,
        count(state) as streams
    from streaming_films
    group by state
)

select
    state,
    streams as count
from streams_by_state
order by streams desc, state asc
