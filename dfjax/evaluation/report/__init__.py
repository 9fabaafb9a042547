"""Contents and files of an evaluation: metrics.json, tables, and their reproduction."""
