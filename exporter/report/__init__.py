"""Reports of an export: the ledger, the metadata, the page."""
