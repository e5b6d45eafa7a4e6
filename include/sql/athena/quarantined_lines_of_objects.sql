-- The lines of these landed objects that are in quarantine. All objects are of one month; keys are literals.
SELECT
    source_file,
    source_line,
    reason
FROM curated.streaming_events_quarantine
WHERE
    partition_0 = '{{ month[:4] }}'
    AND partition_1 = '{{ month[5:] }}'
    AND source_file IN (
        {% for key in keys %}'{{ key | replace("'", "''") }}'{{ "" if loop.last else ", " }}{% endfor %}
    )
