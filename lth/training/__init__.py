"""Plans, trains and records rounds."""
