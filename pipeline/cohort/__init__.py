"""Who is studied: ingest of archives, splits, pairs and the demonstration cohorts."""
