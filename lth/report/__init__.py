"""The report: one page, tables and figures of an outputs folder, from its files alone."""
