"""What the Glue jobs share: stock PySpark and Iceberg, shipped to a job in the same zip as ``datalake``."""
