-- What one run of the enrichment committed, by the rows that it wrote: the sums, and the objects that do not add up
-- job_run_id: the Glue job run's id
select
    count(*) as objects,
    coalesce(sum(landed), 0) as landed,
    coalesce(sum(enriched), 0) as enriched,
    coalesce(sum(quarantined), 0) as quarantined,
    coalesce(sum(duplicates), 0) as duplicates,
    coalesce(sum(unknown_films), 0) as unknown_films,
    count_if(landed <> enriched + quarantined + duplicates) as torn,
    min(case when landed <> enriched + quarantined + duplicates then source_file end) as torn_example
from curated.streaming_reconciliation
where run_id = '{{ job_run_id }}'
