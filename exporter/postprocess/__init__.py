"""What is done with a network's outputs inside the file, from operators that phones have."""
