"""What Python computes: the module a file was made of, and its weights."""
