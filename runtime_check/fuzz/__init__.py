"""Damage files on purpose and watch what loading them does."""
