"""Exact rewrites of the module before anything is captured."""
