-- Lines of one arrival month in quarantine, with their text, in order to repair them
-- parameters: year 'yyyy', month 'MM', pattern of the reason (all: '%')
select
    source_file,
    source_line,
    reason,
    raw,
    raw_encoding
from streaming_events_quarantine
where
    partition_0 = ?
    and partition_1 = ?
    and reason like ?
order by source_file asc, source_line asc
