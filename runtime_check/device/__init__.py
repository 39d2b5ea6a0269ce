"""The device runtime: operator tables, and torch 2.1.0 for ARM64 under emulation."""
