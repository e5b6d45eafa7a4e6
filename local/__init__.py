"""The lake on one machine: never deployed, and imported by nothing outside this package. README.md is its map."""
