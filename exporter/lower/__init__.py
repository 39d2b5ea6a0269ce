"""From a module to a file that a phone's runtime loads."""
