"""From a photo to what the network sees, in the graph."""
