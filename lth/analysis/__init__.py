"""Statistics, verdicts and tables of records. Imports no torch."""
