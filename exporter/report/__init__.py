"""What is told of an export: the ledger, metadata, the page."""
