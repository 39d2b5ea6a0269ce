"""`python -m runtime_check`."""

from .cli import main

main()
