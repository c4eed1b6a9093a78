"""From a finished round to a simpler network: dead channels removed, and files that run without lth."""
