"""A benchmark as a phone app shares it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def phone() -> dict[str, Any]:
    return {
        "format": "runtime-check-benchmark",
        "version": "1.0",
        "devices": [
            {
                "device": {
                    "platform": "android", "model": "Pixel 8", "os": "Android 15",
                    "cpu": "arm64", "cores": 9, "app": "android_demo 1.0",
                },
                "runs": [
                    {
                        "label": "deit_tiny", "runtime": "lite interpreter 2.1.0",
                        "model": "deit_tiny", "threads": 4, "input_shape": [480, 640, 3],
                        "samples_ms": [21.0, 20.0, 30.0],
                    }
                ],
            }
        ],
    }  # fmt: skip
