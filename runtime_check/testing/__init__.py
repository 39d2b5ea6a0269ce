"""Models and archives for testing a pipeline."""
