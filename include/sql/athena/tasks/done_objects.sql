-- The landed objects of some arrival months that are done: each has a row for every run that committed it
-- months: datalake.months.Month objects; as literals, so that only their partitions are read
select distinct source_file
from curated.streaming_reconciliation
where
    false
    {% for month in months %}
        or (partition_0 = '{{ month.year }}' and partition_1 = '{{ month.number }}')
    {% endfor %}
