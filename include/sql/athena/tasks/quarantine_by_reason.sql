-- The number of lines in quarantine of one arrival month, by reason
-- month: a datalake.months.Month
select
    reason,
    count(*) as line_count
from curated.streaming_events_quarantine
where
    partition_0 = '{{ month.year }}'
    and partition_1 = '{{ month.number }}'
group by reason
order by reason asc
