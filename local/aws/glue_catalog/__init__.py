"""The Glue Data Catalog: databases, tables and partitions. ``api`` says what is served.

The emulator stores the catalog. ``emulator_gaps`` adds what its replies and checks lack, ``expression`` evaluates the
filters of GetPartitions, and ``authorized_resources`` names the resources on which a caller needs a right. A kill makes
the emulator forget the catalog: ``journal`` keeps every change on disk and ``journaled_catalog`` restores what is lost.
"""

from local.aws.glue_catalog.api import GlueCatalog

__all__ = ["GlueCatalog"]
