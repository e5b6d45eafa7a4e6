-- Landed objects of the given arrival months that are done: each has a row of every run that committed it.
-- months: list of (partition_0, partition_1); literals, so that these partitions alone are read.
SELECT DISTINCT source_file
FROM curated.streaming_reconciliation
WHERE {% for year, month in months %}(partition_0 = '{{ year }}' AND partition_1 = '{{ month }}'){{ "" if loop.last else " OR " }}{% endfor %}
