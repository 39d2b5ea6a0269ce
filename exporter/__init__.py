"""Export PyTorch vision models to verified lite-interpreter files."""
