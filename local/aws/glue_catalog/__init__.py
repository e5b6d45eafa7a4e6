"""The Glue Data Catalog: the emulator's, completed and journalled. See ``api.GlueCatalog``."""

from local.aws.glue_catalog.api import GlueCatalog

__all__ = ["GlueCatalog"]
