"""Make the app's own tools importable for the tools that only tests use.

Import this first: `compile`, `downloads` and `build_apk` are scripts in `android_demo/tools`, not a
package, because a person runs them from there.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
GOLDEN = ROOT / "tests" / "golden"

sys.path.insert(0, str(ROOT / "android_demo" / "tools"))
