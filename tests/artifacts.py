"""The default model's files, exported once in a session for every test that wants a real one.

They are made by the command line, as users make them: the README's first command, and the same
model in static int8. Where tests run in several processes (pytest-xdist), the first that needs a
file makes it and the others wait.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image

DEFAULT = "tf_efficientnet_lite0"
INT8 = "lite0_int8"
# Free photos of scikit-image, none of which the exporter is judged on.
PHOTOS = ("astronaut", "retina", "hubble_deep_field", "coffee")


@dataclass(frozen=True)
class Models:
    """A folder of real files as they ship, each with its report beside it."""

    folder: Path

    @property
    def fp32(self) -> Path:
        return self.folder / f"{DEFAULT}.ptl"

    @property
    def int8(self) -> Path:
        return self.folder / f"{INT8}.ptl"

    @property
    def pte(self) -> Path:
        """For ExecuTorch, in float32; `pte_int8` is the other."""
        return self.folder / f"{DEFAULT}.pte"

    @property
    def pte_int8(self) -> Path:
        return self.folder / f"{INT8}.pte"

    @property
    def first_command(self) -> str:
        """What the README's first command printed when it made `fp32`."""
        return (self.folder / "first_command.txt").read_text(encoding="utf-8")


def write_photos(folder: Path, names: Sequence[str] = PHOTOS) -> Path:
    """Write 24 crops of photos of scikit-image into `folder`, to calibrate on; return it."""
    import skimage.data

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in names:
        pixels = getattr(skimage.data, name)()
        pixels = np.stack([pixels] * 3, -1) if pixels.ndim == 2 else pixels[..., :3]
        for index in range(24 // len(names)):
            side = int(min(pixels.shape[:2]) * rng.uniform(0.4, 1.0))
            top, left = (int(rng.integers(0, n - side + 1)) for n in pixels.shape[:2])
            crop = Image.fromarray(pixels[top : top + side, left : left + side])
            crop.resize((288, 288)).save(folder / f"{name}-{index}.png")
    return folder


def export_models(folder: Path) -> Models:
    """Return the models in `folder`, exporting those that are not there yet."""
    models = Models(folder / "models")
    models.folder.mkdir(parents=True, exist_ok=True)
    out = ("-o", str(models.folder))
    with FileLock(folder / "lock"):
        if not models.fp32.exists():
            printed = _exporter(*out, cwd=folder)
            (models.folder / "first_command.txt").write_text(printed, encoding="utf-8")
        if not models.int8.exists():
            photos = write_photos(folder / "photos")
            int8 = ("--quantize", "static", "--calibration", str(photos), "--name", INT8)
            _exporter("export", DEFAULT, *int8, *out, cwd=folder)
    return models


def export_programs(folder: Path) -> Models:
    """Return the models in `folder`, exporting their `.pte` files where they are not there yet."""
    models = Models(folder / "models")
    models.folder.mkdir(parents=True, exist_ok=True)
    out = ("--format", "pte", "-o", str(models.folder))
    with FileLock(folder / "pte-lock"):
        if not models.pte.exists():
            _exporter("export", DEFAULT, *out, cwd=folder)
        if not models.pte_int8.exists():
            photos = write_photos(folder / "photos-pte")
            int8 = ("--quantize", "static", "--calibration", str(photos), "--name", INT8)
            _exporter("export", DEFAULT, *int8, *out, cwd=folder)
    return models


def _exporter(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "exporter", *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "a run that succeeds says nothing on stderr"
    return done.stdout
