"""Rows, plans and folders that tests of a comparison are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exporter.compare.plan import ComparePlan, ModelChoice
from exporter.compare.result import Comparison, Row


def row(name: str, **figures: Any) -> Row:
    """A file of 10 MB that agrees with float32 on nine of ten images, unless said otherwise."""
    values: dict[str, Any] = {
        "model": name,
        "recipe": "none",
        "input_size": None,
        "format": "ptl",
        "key": "0" * 64,
        "folder": f"trials/{name}",
        "file": f"{name}.ptl",
        "report": f"trials/{name}/{name}.report.html",
        "on": "images",
        "images": 10,
        "metric": "top-1 agreement",
        "agreement": 0.9,
        "sqnr_db": 30.0,
        "mb": 10.0,
        **figures,
    }
    return Row(name=name, **values)


def failure(name: str, reason: str) -> Row:
    return Row(
        name=name,
        model=name,
        recipe="static",
        input_size=None,
        format="ptl",
        key="1" * 64,
        reason=reason,
    )


def comparison(*rows: Row, **values: Any) -> Comparison:
    given: dict[str, Any] = {
        "made_by": {"torch-mobile-export": "0.2", "torch": "2.12", "timm": "1.0"},
        "plan": {},
        "worth": "agreement",
        **values,
    }
    return Comparison(rows=list(rows), **given)


def plan(*models: str, **options: Any) -> ComparePlan:
    chosen = tuple(ModelChoice(model=model, random_weights=":" not in model) for model in models)
    return ComparePlan(models=chosen, **options)


def write_pictures(folder: Path, count: int, *, seed: int = 0) -> Path:
    """Smooth random pictures, in the folder itself."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        coarse.resize((64, 48), Image.Resampling.BICUBIC).save(folder / f"{index:03}.png")
    return folder


def alive(out: Path) -> list[str]:
    """Trials on this machine that still run and have `out` in their orders."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = each.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if "exporter.compare.trial" in text and str(out) in text:
            found.append(text)
    return found
