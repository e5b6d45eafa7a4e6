-- What one run of the enrichment committed, by its own rows: the sums, and the objects that do not add up.
SELECT
    count(*) AS objects,
    coalesce(sum(landed), 0) AS landed,
    coalesce(sum(enriched), 0) AS enriched,
    coalesce(sum(quarantined), 0) AS quarantined,
    coalesce(sum(duplicates), 0) AS duplicates,
    coalesce(sum(unknown_films), 0) AS unknown_films,
    count_if(landed <> enriched + quarantined + duplicates) AS torn,
    min(CASE WHEN landed <> enriched + quarantined + duplicates THEN source_file END) AS torn_example
FROM curated.streaming_reconciliation
WHERE run_id = '{{ ti.xcom_pull(task_ids="run_job") }}'
