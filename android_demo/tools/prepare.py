"""Fetch everything the app is built and tested with here: `python android_demo/tools/prepare.py`.

About 1.2 GB, once, into `RUNTIME_CHECK_CACHE` (or ~/.cache/torch-mobile-export), every file
checked by its SHA-256.
"""

from __future__ import annotations

import sys

from downloads import ToolError, absent, cache, prepare


def main() -> int:
    """Fetch, then say what is still missing; exit 2 when anything is."""
    try:
        prepare()
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    size = sum(path.stat().st_size for path in (cache() / "maven").iterdir())
    sys.stdout.write(f"{size / 1e6:.0f} MB in {cache()}\n")
    gone = absent()
    if gone:
        sys.stderr.write(f"Still missing: {', '.join(gone)}\n")
    return 2 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
