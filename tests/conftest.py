from __future__ import annotations

from hypothesis import settings

# The same examples in every run: a failure in CI must be a failure at home. Searching for new
# counterexamples is `python -m runtime_check --profile nightly`'s work.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
