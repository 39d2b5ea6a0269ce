"""What a trial reads, as bytes under the hash of its content, and as files again elsewhere."""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from runtime_check.files import atomic_folder
from runtime_check.reference.build import is_factory

from ..image.folders import image_files
from .plan import Trial

SOURCE = "source"  # the name of a factory's code among what a trial reads


def inputs_of(trial: Trial) -> dict[str, Path]:
    """Return the files and folders that `trial` reads, by the names of its fields."""
    named = {
        "weights": trial.choice.weights,
        "labels": trial.choice.labels,
        "calibration": trial.calibration if trial.calibrates else None,
        "evaluate": trial.evaluate,
    }
    return {name: path for name, path in named.items() if isinstance(path, Path)}


def with_inputs(trial: Trial, places: Mapping[str, Path]) -> Trial:
    """Return `trial` reading from `places` what `inputs_of` named."""
    choice = replace(
        trial.choice,
        weights=places.get("weights", trial.choice.weights),
        labels=places.get("labels", trial.choice.labels),
    )
    return replace(
        trial,
        choice=choice,
        calibration=places.get("calibration", trial.calibration),
        evaluate=places.get("evaluate", trial.evaluate),
    )


def packed(path: Path) -> bytes:
    """Pack a file, or the images of a folder, which are what its hash is over."""
    if path.is_file():
        return pack(path.parent, [path])
    return pack(path, image_files(path, arrays=True).files)


def pack(root: Path, files: Iterable[Path]) -> bytes:
    """Pack `files` with their places below `root`, without owners and times; links are followed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            content = file.read_bytes()
            entry = tarfile.TarInfo(file.relative_to(root).as_posix())
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def unpack(data: bytes | memoryview, folder: Path) -> None:
    """Write what `pack` packed into `folder`, which is there."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r") as archive:
        archive.extractall(folder, filter="data")


def pack_folder(folder: Path) -> bytes:
    """Pack all that is in a folder."""
    return pack(folder, sorted(path for path in folder.rglob("*") if path.is_file()))


def laid_out(data: bytes | memoryview, place: Path) -> None:
    """Unpack into the folder `place`, which appears whole; another process may do the same."""
    if place.is_dir():
        return
    with atomic_folder(place) as new:
        unpack(data, new)


def source_of_factory(model: str) -> tuple[Path, list[Path]] | None:
    """Return where a factory's code lies and its Python files, without importing anything.

    That is the module's whole top-level package, and the modules beside it. None for models that
    are no factory, and for installed packages, which other machines have to have as well.
    """
    if not is_factory(model):
        return None
    top = model.split(":")[0].split(".")[0]
    for base in dict.fromkeys(Path(place).absolute() for place in (os.curdir, *sys.path)):
        package, module = base / top, base / f"{top}.py"
        if not module.is_file() and not package.is_dir():
            continue
        if base in _installed():
            return None
        inside = sorted(package.rglob("*.py")) if package.is_dir() else []
        return base, [*sorted(base.glob("*.py")), *inside]
    return None


def _installed() -> set[Path]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return {Path(sysconfig.get_path(kind)).absolute() for kind in kinds}
