"""The objects of an S3 target by folder: each folder is a partition of the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class PartitionFolder:
    """The objects of one partition, or of the whole table if it has no partitions."""

    values: tuple[str, ...]
    path: str  # relative to the target, with a slash at its end; empty for the target itself
    objects: list[str] = field(default_factory=list)  # keys
    size: int = 0


def group_by_folder(prefix: str, objects: Sequence[tuple[str, int]]) -> tuple[list[PartitionFolder], list[str]]:
    """The folders with their objects, and the partition keys.

    The key of a folder ``name=value`` is its name; other keys are partition_0, partition_1 and so on.
    Raises ValueError when objects lie at different depths.
    """
    folders: dict[str, PartitionFolder] = {}
    for key, size in objects:
        path = key[len(prefix) :].rpartition("/")[0]
        path = f"{path}/" if path else ""
        if path not in folders:
            values = tuple(part.rpartition("=")[2] for part in path.split("/")[:-1])
            folders[path] = PartitionFolder(values, path)
        folders[path].objects.append(key)
        folders[path].size += size
    depths = Counter(key.count("/") for key, _ in objects)
    if len(depths) > 1:
        (usual, _), *_ = depths.most_common()
        different = next(key for key, _ in objects if key.count("/") != usual)
        raise ValueError(f"Objects lie at different depths, e.g. {different}")
    parts = enumerate(next(iter(folders)).split("/")[:-1])
    names = [part.partition("=")[0].lower() if "=" in part else f"partition_{n}" for n, part in parts]
    return list(folders.values()), names


def evenly_spread(items: Sequence[str], count: int) -> list[str]:
    """At most ``count`` items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(n * (len(items) - 1) / (count - 1))] for n in range(count)]
