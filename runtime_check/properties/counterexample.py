"""A failing input, saved with what was expected and what came."""

from __future__ import annotations

import json
import shlex
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..artifact.inputs import check_inputs
from ..artifact.metadata import Metadata
from ..errors import CannotWrite, RuntimeCheckError
from ..files import whole_file
from .base import Check, Verdict
from .inputs import (
    Recipe,
)

_TAKES = "`--replay` takes the .npz that a failing property saved."


@dataclass(frozen=True, kw_only=True)
class Counterexample:
    """A saved failing input, with what was expected and what came."""

    property: str
    seed: int
    recipe: str
    natural: bool
    problem: str
    artifact: str
    artifact_sha256: str
    runtime: str
    inputs: tuple[np.ndarray, ...]
    expected: tuple[np.ndarray, ...]
    actual: tuple[np.ndarray, ...]


def save_counterexample(check: Check, name: str, recipe: Recipe, verdict: Verdict) -> Path | None:
    """Write inputs, expected and actual outputs and what they are about. Returns the `.npz`.

    None where it cannot be written: a warning says why, and the verdict stands without it.
    """
    about = {
        "property": name,
        "seed": check.seed,
        "recipe": repr(recipe),
        "natural": recipe.natural,
        "problem": verdict.problem,
        "artifact": check.artifact.path.name,
        "artifact_sha256": check.sha256,
        "runtime": check.runtime.name,
    }
    arrays: dict[str, np.ndarray] = {"about": np.array(json.dumps(about))}
    for kind, values in (
        ("input", recipe.build()),
        ("expected", verdict.expected),
        ("actual", verdict.actual),
    ):
        arrays.update({f"{kind}_{i}": np.asarray(value) for i, value in enumerate(values)})
    path = check.folder / f"{check.artifact.path.stem}-{name}-{check.runtime.name}.npz"
    try:
        with whole_file(path) as part, part.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
    except CannotWrite as error:
        warnings.warn(f"The failing input is not saved: {error}", stacklevel=2)
        return None
    return path


def replay_command(artifact: Path, run_on: str, counterexample: Path) -> str:
    """Return the command that judges a saved counterexample again."""
    words = ["python", "-m", "runtime_check", str(artifact)]
    words += [] if run_on == "host" else ["--run-on", run_on]
    return shlex.join([*words, "--replay", str(counterexample)])


def load_counterexample(path: Path | str) -> Counterexample:
    """Read what `save_counterexample` wrote; raise `RuntimeCheckError` for anything else."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise RuntimeCheckError(f"{path} {what}. {_TAKES}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            groups = {
                kind: tuple(
                    stored[f"{kind}_{i}"]
                    for i in range(sum(name.startswith(f"{kind}_") for name in stored.files))
                )
                for kind in ("input", "expected", "actual")
            }
        return Counterexample(
            **about,
            inputs=groups["input"],
            expected=groups["expected"],
            actual=groups["actual"],
        )
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise RuntimeCheckError(f"{path} is not a counterexample ({why}). {_TAKES}") from error


def require_fit(saved: Counterexample, metadata: Metadata, *, where: str) -> None:
    """Raise `RuntimeCheckError` where the inputs are not the file's; `where` begins the message."""
    try:
        check_inputs(metadata, saved.inputs)
        if metadata.input.kind == "image":
            (image,) = saved.inputs
            channels = metadata.input.channels
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
                raise ValueError(
                    f"this artifact takes a uint8 image, height x width x {channels}, not "
                    f"{image.dtype} {list(image.shape)}"
                )
    except ValueError as error:
        raise RuntimeCheckError(f"{where}: {error}. Was it saved of another file?") from error
