-- Each run of the enrichment, newest first: what it committed, and whether landed = enriched + quarantined + duplicates
select
    run_id,
    mode,
    max(committed_at) as committed_at,
    min(partition_0 || '-' || partition_1) as first_month,
    max(partition_0 || '-' || partition_1) as last_month,
    count(*) as objects,
    sum(landed) as landed,
    sum(enriched) as enriched,
    sum(quarantined) as quarantined,
    sum(duplicates) as duplicates,
    sum(unknown_films) as unknown_films,
    bool_and(landed = enriched + quarantined + duplicates) as adds_up
from streaming_reconciliation
group by run_id, mode
order by committed_at desc, run_id asc
