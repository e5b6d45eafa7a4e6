-- The lines of some landed objects of one arrival month that are in quarantine
-- month: a datalake.months.Month; keys: the objects' keys, as literals, so that few data files are read
select
    source_file,
    source_line,
    reason
from curated.streaming_events_quarantine
where
    partition_0 = '{{ month.year }}'
    and partition_1 = '{{ month.number }}'
    and source_file in (
        {% for key in keys %}
            '{{ key | replace("'", "''") }}'{{ "" if loop.last else "," }}
        {% endfor %}
    )
