"""ExecuTorch programs (`.pte`): what is lowered, and how it is packed."""
