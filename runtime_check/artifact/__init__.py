"""Read a file as inert data: records, metadata, golden vectors, bytecode."""
