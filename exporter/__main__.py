"""`python -m exporter`."""

from __future__ import annotations

from runtime_check.stopping import command_line


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    with command_line():
        from .cli import main as run

        run()


if __name__ == "__main__":
    main()
