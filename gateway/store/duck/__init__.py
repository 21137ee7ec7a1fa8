"""History in one DuckDB file."""
