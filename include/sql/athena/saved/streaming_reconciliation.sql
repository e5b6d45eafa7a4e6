-- Each arrival month: landed = enriched + quarantined + duplicates, by the newest run of each landed object
with

commits as (
    select
        *,
        row_number() over (partition by source_file order by committed_at desc, run_id desc) as age
    from streaming_reconciliation
)

select
    partition_0 || '-' || partition_1 as month,
    count(*) as objects,
    sum(landed) as landed,
    sum(enriched) as enriched,
    sum(quarantined) as quarantined,
    sum(duplicates) as duplicates,
    sum(unknown_films) as unknown_films,
    max(committed_at) as committed_at,
    bool_and(landed = enriched + quarantined + duplicates) as adds_up
from commits
where age = 1
group by partition_0, partition_1
order by month asc
