-- Landed objects of the given arrival months with at least one row in the tables: rows of streaming_films, rows in quarantine.
-- months: list of (partition_0, partition_1); literals, so that both tables are read in these partitions only.
WITH found AS (
    SELECT
        source_file,
        1 AS enriched,
        0 AS quarantined
    FROM curated.streaming_films
    WHERE {% for year, month in months %}(partition_0 = '{{ year }}' AND partition_1 = '{{ month }}'){{ "" if loop.last else " OR " }}{% endfor %}

    UNION ALL
    SELECT
        source_file,
        0 AS enriched,
        1 AS quarantined
    FROM curated.streaming_events_quarantine
    WHERE {% for year, month in months %}(partition_0 = '{{ year }}' AND partition_1 = '{{ month }}'){{ "" if loop.last else " OR " }}{% endfor %}

)

SELECT
    source_file,
    sum(enriched) AS enriched,
    sum(quarantined) AS quarantined
FROM found
GROUP BY source_file
