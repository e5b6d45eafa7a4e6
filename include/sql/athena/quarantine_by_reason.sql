-- How many lines of one arrival month are in quarantine, by reason.
SELECT
    reason,
    count(*) AS line_count
FROM curated.streaming_events_quarantine
WHERE
    partition_0 = '{{ month[:4] }}'
    AND partition_1 = '{{ month[5:] }}'
GROUP BY reason
