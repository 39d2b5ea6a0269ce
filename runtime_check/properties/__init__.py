"""The properties of an artifact, each a plain function from a `Check` to a `PropertyResult`.

Hypothesis draws the inputs and shrinks what fails. One examiner a property judges one input, so
that a saved counterexample can be judged again (`replay`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException

from ..artifact.archive import ArtifactFile
from ..artifact.metadata import Golden, ImageInput, Metadata, TensorInput, ToleranceSpec
from ..compare import Comparison, Tolerance, compare
from ..errors import RuntimeCheckError
from ..reference.reference import Reference, pillow_resize
from ..runtimes.host import ForwardError, open_host
from .inputs import (
    NATURAL,
    NONFINITE_CONTENTS,
    Recipe,
    image_recipes,
    recipes,
    tensor_recipes,
    unresized_size,
)

Status = Literal["passed", "failed", "noted", "skipped"]
Outputs = list[np.ndarray]

# What the in-graph resize may differ from Pillow's by, in grey levels (measured: 1-2 on natural
# images, 20 on pixel noise, for a float resize against Pillow's two rounded passes).
NATURAL_LEVELS = 2.0
UNNATURAL_LEVELS = 20.0
# A device under emulation takes seconds an input; shrinking stops asking it after this many.
MAX_DEVICE_SHRINKS = 12
# An int8 file may fall this far below the SQNR its own ledger states: other inputs, other noise.
SQNR_SLACK_DB = 6.0
TOP1_SLACK = 0.1


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One runtime with the artifact loaded.

    `run` takes many calls' inputs and a thread count, and gives the outputs, or the error, of
    each.
    """

    name: str
    run: Callable[[Sequence[Sequence[np.ndarray]], int], list[Outputs | RuntimeCheckError]]
    costly: bool = False  # seconds an input: draw few, shrink little, one thread

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1) -> Outputs:
        """Run one call; raise what it raised."""
        result = self.run([inputs], threads)[0]
        if isinstance(result, RuntimeCheckError):
            raise result
        return result


@dataclass(frozen=True, kw_only=True)
class Check:
    """Everything that a property looks at."""

    artifact: ArtifactFile
    runner: Runner
    reference: Reference | None
    no_reference: str = ""  # why there is none
    examples: int = 20
    seed: int = 0
    max_pixels: int = 400_000
    folder: Path = Path("counterexamples")

    @property
    def metadata(self) -> Metadata:
        """The artifact's metadata."""
        return self.artifact.metadata

    @property
    def tolerance(self) -> Tolerance:
        """The tolerance that the artifact states for itself."""
        return tolerance_of(self.metadata.tolerance)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What an examiner says about one input: false with a `problem` in words."""

    problem: str = ""
    comparison: Comparison | None = None
    expected: tuple[np.ndarray, ...] = ()
    actual: tuple[np.ndarray, ...] = ()
    remark: str = ""  # noticed, but not wrong

    def __bool__(self) -> bool:
        return not self.problem


@dataclass(frozen=True, kw_only=True)
class PropertyResult:
    """What one property found. Only `failed` is a parity failure; `noted` is worth knowing."""

    name: str
    status: Status
    reason: str
    examples: int = 0
    seconds: float = 0.0
    comparison: Comparison | None = field(default=None, repr=False)  # worst, or the failing one
    minimal: str = ""  # the shrunk input, as a recipe
    counterexample: Path | None = None

    def __bool__(self) -> bool:
        return self.status != "failed"


Examiner = Callable[[Check, Sequence[np.ndarray], bool], Verdict]


def tolerance_of(spec: ToleranceSpec) -> Tolerance:
    """Turn the contract's tolerance into one to compare with."""
    return Tolerance(atol=spec.atol, rtol=spec.rtol, step=spec.step)


# --- searching ---------------------------------------------------------------------------------


class _Disagreement(Exception):
    """Tell hypothesis that this input fails."""


@dataclass
class _Search:
    """What has been tried so far; hypothesis calls back into it."""

    verdicts: dict[Recipe, Verdict] = field(default_factory=dict)
    failing: Recipe | None = None
    worst: Comparison | None = None
    shrinks: int = 0


def _settings(examples: int, phases: Sequence[Phase]) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=tuple(phases),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )


def _draw(strategy: st.SearchStrategy[Any], examples: int, seed: int) -> list[Recipe]:
    """Draw recipes without judging them, the same ones for the same seed."""
    drawn: dict[Recipe, None] = {}

    @hypothesis_seed(seed)
    @_settings(examples, [Phase.generate])
    @given(strategy)
    def collect(recipe: Recipe) -> None:
        drawn[recipe] = None

    collect()
    return list(drawn)


def _worse(one: Comparison | None, other: Comparison | None) -> Comparison | None:
    if one is None or other is None:
        return one or other
    return other if (other.max_abs or 0.0) > (one.max_abs or 0.0) else one


def _explore(
    check: Check, name: str, strategy: st.SearchStrategy[Any], examine: Examiner
) -> PropertyResult:
    """Draw inputs until one fails or enough passed; shrink and save the one that fails."""
    started = time.perf_counter()
    search = _Search()

    def probe(recipe: Recipe) -> None:
        verdict = search.verdicts.get(recipe)
        if verdict is None:
            if search.failing is not None:
                search.shrinks += 1
            if check.runner.costly and search.shrinks > MAX_DEVICE_SHRINKS:
                return
            verdict = _examine(check, examine, recipe.build(), recipe.natural)
            search.verdicts[recipe] = verdict
            if search.failing is None:
                search.worst = _worse(search.worst, verdict.comparison)
        if not verdict:
            search.failing = recipe
            raise _Disagreement(verdict.problem)

    run = hypothesis_seed(check.seed)(
        _settings(check.examples, [Phase.generate, Phase.shrink])(given(strategy)(probe))
    )
    unsteady = ""
    try:
        run()
    except _Disagreement:
        pass
    except (Flaky, HypothesisException) as error:
        unsteady = f" (hypothesis: {str(error).splitlines()[0][:120]})"
    seconds = time.perf_counter() - started
    tried = len(search.verdicts)
    if search.failing is None:
        remarks = [v.remark for v in search.verdicts.values() if v.remark]
        reason = _within(search.worst) + unsteady
        if remarks:
            reason = f"{len(remarks)} of {tried} inputs: {remarks[0]}"
        return PropertyResult(
            name=name,
            status="noted" if remarks else "passed",
            reason=reason,
            examples=tried,
            seconds=seconds,
            comparison=search.worst,
        )
    verdict = search.verdicts[search.failing]
    path = save_counterexample(check, name, search.failing, verdict)
    return PropertyResult(
        name=name,
        status="failed",
        reason=verdict.problem + unsteady,
        examples=tried,
        seconds=seconds,
        comparison=verdict.comparison,
        minimal=repr(search.failing),
        counterexample=path,
    )


def _within(worst: Comparison | None) -> str:
    return str(worst) if worst is not None else "held for every input"


def _examine(
    check: Check, examine: Examiner, inputs: Sequence[np.ndarray], natural: bool
) -> Verdict:
    try:
        return examine(check, inputs, natural)
    except ForwardError as error:
        return Verdict(problem=str(error))


# --- counterexamples ---------------------------------------------------------------------------


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


def save_counterexample(check: Check, name: str, recipe: Recipe, verdict: Verdict) -> Path:
    """Write inputs, expected and actual outputs and what they are about. Returns the `.npz`."""
    about = {
        "property": name,
        "seed": check.seed,
        "recipe": repr(recipe),
        "natural": recipe.natural,
        "problem": verdict.problem,
        "artifact": check.artifact.path.name,
        "artifact_sha256": hashlib.sha256(check.artifact.path.read_bytes()).hexdigest(),
        "runtime": check.runner.name,
    }
    arrays: dict[str, np.ndarray] = {"about": np.array(json.dumps(about))}
    for kind, values in (
        ("input", recipe.build()),
        ("expected", verdict.expected),
        ("actual", verdict.actual),
    ):
        arrays.update({f"{kind}_{i}": np.asarray(value) for i, value in enumerate(values)})
    check.folder.mkdir(parents=True, exist_ok=True)
    path = check.folder / f"{check.artifact.path.stem}-{name}-{check.runner.name}.npz"
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    return path


def load_counterexample(path: Path | str) -> Counterexample:
    """Read what `save_counterexample` wrote; raise `RuntimeCheckError` for anything else."""
    path = Path(path)
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
        raise RuntimeCheckError(
            f"{path} is no counterexample of this tool ({type(error).__name__}: {error}). "
            "`--replay` takes the .npz that a failing property saved."
        ) from error


def replay(check: Check, saved: Counterexample) -> PropertyResult:
    """Judge a saved input again.

    Without a reference, the saved expected outputs stand in for it.
    """
    started = time.perf_counter()
    examine = EXAMINERS.get(saved.property)
    if examine is None:
        raise RuntimeCheckError(
            f"The counterexample is of the property {saved.property!r}, which this release does "
            f"not know: {', '.join(EXAMINERS)}."
        )
    if check.reference is None and saved.property in NEEDS_REFERENCE:
        actual = check.runner.forward(saved.inputs)
        comparison = compare(list(saved.expected), actual, check.tolerance)
        verdict = Verdict(problem="" if comparison else str(comparison), comparison=comparison)
    else:
        verdict = _examine(check, examine, saved.inputs, saved.natural)
    return PropertyResult(
        name=saved.property,
        status="passed" if verdict else "failed",
        reason=verdict.problem or _within(verdict.comparison),
        examples=1,
        seconds=time.perf_counter() - started,
        comparison=verdict.comparison,
        minimal=saved.recipe,
    )


# --- parity ------------------------------------------------------------------------------------


def _scaled(check: Check, expected: Outputs) -> Tolerance:
    """Let the absolute tolerance grow with the outputs: rounding is relative to what is summed.

    The stated tolerance was measured on ordinary inputs, whose outputs the golden vectors show.
    """
    stated = check.tolerance
    if check.metadata.output.activation != "none":
        return stated
    usual = max(
        (float(np.abs(_finite(e.array())).max(initial=0.0)) for c in check.artifact.golden.cases
         for e in c.expected),
        default=0.0,
    )  # fmt: skip
    largest = max((float(np.abs(_finite(e)).max(initial=0.0)) for e in expected), default=0.0)
    grown = max(1.0, largest / usual) if usual else 1.0
    return Tolerance(atol=stated.atol * grown, rtol=stated.rtol, step=stated.step)


def _finite(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float64)
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _examine_parity(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    assert check.reference is not None
    expected = check.reference.forward(inputs)
    actual = check.runner.forward(inputs)
    comparison = compare(expected, actual, _scaled(check, expected))
    return Verdict(
        problem="" if comparison else str(comparison),
        comparison=comparison,
        expected=tuple(expected),
        actual=tuple(actual),
    )


def _parity_recipes(check: Check) -> st.SearchStrategy[Any]:
    """Inputs that the reference and the graph must treat alike down to float rounding.

    For images: sizes that timm's transform crops without resizing, so that Pillow's rounding to
    8 bits has no part in it; other sizes are the `preprocessing` property's.
    """
    spec, preprocessing = check.metadata.input, check.metadata.preprocessing
    if isinstance(spec, TensorInput):
        return tensor_recipes(spec)
    assert preprocessing is not None
    height, width = unresized_size(preprocessing)
    sizes: st.SearchStrategy[tuple[int, int]] = st.just((height, width))
    if preprocessing.crop_mode == "center" and height == width:
        longest = min(spec.max_side, check.max_pixels // height, height * spec.max_aspect)
        longest = max(height, longest)
        longer = st.integers(height, longest) | st.just(longest)
        sizes = sizes | st.builds(lambda n: (height, n), longer)
        sizes = sizes | st.builds(lambda n: (n, width), longer)
    return image_recipes(spec, sizes=sizes)


def parity(check: Check) -> PropertyResult:
    """The file computes what the Python model computes."""
    if check.reference is None:
        return _skipped("parity", check.no_reference)
    if check.metadata.quantization.method != "none":
        return _quantised_parity(check)
    return _explore(check, "parity", _parity_recipes(check), _examine_parity)


def _quantised_parity(check: Check) -> PropertyResult:
    """Judge an int8 file against fp32 Python over many inputs at once: SQNR and top-1 agreement.

    One input proves nothing for int8. The demand is what the file's own ledger states, less a
    slack; a file without a ledger row is held to a positive SQNR.
    """
    assert check.reference is not None
    started = time.perf_counter()
    contents = tuple(name for name in NATURAL if name != "constant")
    spec = check.metadata.input
    strategy: st.SearchStrategy[Any]
    if isinstance(spec, ImageInput):
        strategy = image_recipes(spec, contents=contents, max_pixels=check.max_pixels)
    else:
        strategy = tensor_recipes(spec, contents=("normal",))
    drawn = _draw(strategy, check.examples, check.seed)
    answers = check.runner.run([recipe.build() for recipe in drawn], 1)
    demand = _quantised_demand(check.metadata)
    wanted: list[Outputs] = []
    got: list[Outputs] = []
    distances: list[float] = []
    for recipe, answer in zip(drawn, answers, strict=True):
        expected = check.reference.forward(recipe.build())
        verdict = Verdict(problem=str(answer), expected=tuple(expected))
        if not isinstance(answer, RuntimeCheckError):
            single = compare(expected, answer, Tolerance(atol=np.inf))
            verdict = Verdict(
                problem="" if single else str(single),
                comparison=single,
                expected=tuple(expected),
                actual=tuple(answer),
            )
        if not verdict:
            return PropertyResult(
                name="parity",
                status="failed",
                reason=verdict.problem,
                examples=len(wanted) + 1,
                seconds=time.perf_counter() - started,
                comparison=verdict.comparison,
                minimal=repr(recipe),
                counterexample=save_counterexample(check, "parity", recipe, verdict),
            )
        wanted.append([e.reshape(1, -1) for e in expected])
        got.append([a.reshape(1, -1) for a in verdict.actual])
        distances.append(single.max_abs or 0.0)
    # Heads side by side, inputs below each other: top-1 is that of the first head.
    total = compare(
        np.concatenate([row[0] for row in wanted]), np.concatenate([r[0] for r in got]), demand
    )
    worst = int(np.argmax(distances))
    path = None
    if not total:
        pair = Verdict(
            problem=str(total),
            comparison=total,
            expected=tuple(wanted[worst]),
            actual=tuple(got[worst]),
        )
        path = save_counterexample(check, "parity", drawn[worst], pair)
    return PropertyResult(
        name="parity",
        status="passed" if total else "failed",
        reason=f"int8 against fp32 Python: {total}",
        examples=len(drawn),
        seconds=time.perf_counter() - started,
        comparison=total,
        minimal="" if total else repr(drawn[worst]),
        counterexample=path,
    )


def _quantised_demand(metadata: Metadata) -> Tolerance:
    stated = [row for row in metadata.ledger if row.sqnr_db is not None and row.stage != "eager"]
    last = stated[-1] if stated else None
    sqnr = 0.0 if last is None or last.sqnr_db is None else last.sqnr_db - SQNR_SLACK_DB
    top1 = None if last is None or last.top1 is None else max(0.0, last.top1 - TOP1_SLACK)
    return Tolerance(atol=np.inf, min_sqnr_db=max(0.0, sqnr), min_top1=top1)


def _examine_nonfinite(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    assert check.reference is not None
    expected = check.reference.forward(inputs)
    actual = check.runner.forward(inputs)
    shapes = compare(expected, actual, Tolerance(atol=np.inf))
    if shapes.problem in ("count", "shape", "dtype", "empty"):
        return Verdict(problem=shapes.detail, expected=tuple(expected), actual=tuple(actual))
    hidden = sum(
        int((~np.isfinite(e) & np.isfinite(a)).sum()) for e, a in zip(expected, actual, strict=True)
    )
    remark = ""
    if hidden:
        remark = (
            f"Python answers NaN or infinity and the file {hidden} ordinary numbers "
            "(XNNPACK's clamp swallows NaN): a phone will not show that its input was broken"
        )
    return Verdict(expected=tuple(expected), actual=tuple(actual), remark=remark)


def nonfinite(check: Check) -> PropertyResult:
    """NaN and infinities in the input are not hidden by ordinary numbers in the output.

    Noted, not failed: XNNPACK's fused clamp (ReLU6, hardswish) does this by design.
    """
    spec = check.metadata.input
    if isinstance(spec, ImageInput):
        return _skipped("nonfinite", "a uint8 image cannot hold NaN or infinity")
    if check.reference is None:
        return _skipped("nonfinite", check.no_reference)
    strategy = tensor_recipes(spec, contents=NONFINITE_CONTENTS)
    return _explore(check, "nonfinite", strategy, _examine_nonfinite)


# --- determinism, batches ----------------------------------------------------------------------


def _examine_determinism(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    first = check.runner.forward(inputs)
    for again in check.runner.run([inputs, inputs], 1):
        if isinstance(again, RuntimeCheckError):
            raise again
        bits = compare(first, again, Tolerance())
        if not bits or any(a.tobytes() != b.tobytes() for a, b in zip(first, again, strict=True)):
            return Verdict(
                problem=f"the same input twice gave different bits: {bits}",
                comparison=bits,
                expected=tuple(first),
                actual=tuple(again),
            )
    if check.runner.costly:
        return Verdict(comparison=bits)
    threaded = check.runner.forward(inputs, threads=2)
    comparison = compare(first, threaded, _scaled(check, first))
    return Verdict(
        problem="" if comparison else f"2 threads against 1: {comparison}",
        comparison=comparison,
        expected=tuple(first),
        actual=tuple(threaded),
    )


def determinism(check: Check) -> PropertyResult:
    """The same input gives the same bits; 2 threads agree with 1 within tolerance."""
    if check.runner.costly:
        check = replace(check, examples=min(check.examples, 2))  # each costs three runs
    strategy = recipes(check.metadata, max_pixels=check.max_pixels)
    return _explore(check, "determinism", strategy, _examine_determinism)


def _examine_batch(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    together = check.runner.forward(inputs)
    count = inputs[0].shape[0]
    rows = check.runner.run([[a[i : i + 1] for a in inputs] for i in range(count)], 1)
    parts = []
    for row in rows:
        if isinstance(row, RuntimeCheckError):
            raise row
        parts.append(row)
    apart = [np.concatenate(list(column)) for column in zip(*parts, strict=True)]
    comparison = compare(apart, together, _scaled(check, apart))
    return Verdict(
        problem="" if comparison else f"a batch of {count} against its rows: {comparison}",
        comparison=comparison,
        expected=tuple(apart),
        actual=tuple(together),
    )


def batch(check: Check) -> PropertyResult:
    """A batch gives what its rows give one by one."""
    spec = check.metadata.input
    if isinstance(spec, ImageInput):
        return _skipped("batch", "the file takes one image at a time")
    if not spec.dynamic_batch:
        return _skipped("batch", "the file takes one fixed batch size")
    strategy = tensor_recipes(
        spec, contents=("normal", "zero", "constant"), batches=st.integers(2, 4)
    )
    return _explore(check, "batch", strategy, _examine_batch)


# --- metadata and golden vectors ---------------------------------------------------------------


def golden(check: Check) -> PropertyResult:
    """The expected outputs inside the file come out of it on this runtime."""
    started = time.perf_counter()
    cases = check.artifact.golden.cases
    tolerance = tolerance_of(check.artifact.golden.tolerance)
    answers = check.runner.run([[i.array() for i in case.inputs] for case in cases], 1)
    worst: Comparison | None = None
    for case, answer in zip(cases, answers, strict=True):
        if isinstance(answer, RuntimeCheckError):
            return _failed("golden", f"golden vector {case.name!r}: {answer}", started)
        comparison = compare([e.array() for e in case.expected], answer, tolerance)
        worst = _worse(worst, comparison)
        if not comparison:
            return _failed(
                "golden", f"golden vector {case.name!r}: {comparison}", started, comparison
            )
    return PropertyResult(
        name="golden",
        status="passed",
        reason=_within(worst),
        examples=len(cases),
        seconds=time.perf_counter() - started,
        comparison=worst,
    )


def _examine_metadata(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    actual = check.runner.forward(inputs)
    output = check.metadata.output
    problems = []
    if len(actual) != len(output.tensors):
        problems.append(f"{len(actual)} outputs, the metadata states {len(output.tensors)}")
    for index, (array, stated) in enumerate(zip(actual, output.tensors, strict=False)):
        if str(array.dtype) != stated.dtype or len(array.shape) != len(stated.shape):
            problems.append(
                f"output {index} is {array.dtype} {list(array.shape)}, the metadata states "
                f"{stated.dtype} {stated.shape}"
            )
    classes = actual[0].shape[-1] if actual and actual[0].ndim else 0
    if output.labels is not None and classes != len(output.labels):
        problems.append(f"{len(output.labels)} labels for {classes} outputs")
    if output.activation != "none" and actual:
        scores = actual[0].astype(np.float64)
        slack = 1e-3 if check.metadata.quantization.method != "none" else 1e-5
        if float(scores.min()) < -slack or float(scores.max()) > 1 + slack:
            problems.append(
                f"probabilities reach from {scores.min():.4g} to {scores.max():.4g}, not 0 to 1"
            )
        total = scores.sum(-1)
        if output.activation == "softmax" and not np.allclose(total, 1.0, rtol=0, atol=slack):
            problems.append(f"probabilities sum to {float(np.ravel(total)[0]):.6g}, not 1")
    return Verdict(problem="; ".join(problems), actual=tuple(actual))


def metadata(check: Check) -> PropertyResult:
    """Metadata survives a round trip and tells the truth about the file and its outputs."""
    started = time.perf_counter()
    stated, bytecode = check.metadata, check.artifact.bytecode
    if Metadata.model_validate_json(stated.model_dump_json()) != stated:
        return _failed("metadata", "writing and reading the metadata changes it", started)
    vectors = check.artifact.golden
    if Golden.model_validate_json(vectors.model_dump_json()) != vectors:
        return _failed("metadata", "writing and reading the golden vectors changes them", started)
    if stated.produced_by.bytecode_version != bytecode.version:
        return _failed(
            "metadata",
            f"the metadata states bytecode version {stated.produced_by.bytecode_version}, the "
            f"file has {bytecode.version}",
            started,
        )
    if stated.operators != bytecode.calls:
        names = sorted(set(stated.operators.items()) ^ set(bytecode.calls.items()))
        return _failed(
            "metadata",
            f"the operators stated are not those in the bytecode (first difference: {names[0]})",
            started,
        )
    strategy = recipes(stated, max_pixels=check.max_pixels)
    return _explore(check, "metadata", strategy, _examine_metadata)


# --- preprocessing -----------------------------------------------------------------------------


def _examine_preprocessing(check: Check, inputs: Sequence[np.ndarray], natural: bool) -> Verdict:
    """Bound the output's difference by what a change of a few grey levels does to the model.

    The graph's preprocessing cannot be seen from outside, its effect can. fp32 with a reference:
    the reference runs on Pillow's result, and on versions of it that are off by `levels` with
    random signs, as rounding is, or by half a level one way. Otherwise (int8, no reference) the
    file itself takes both roles: it runs on the photo and on what Pillow resized the photo to,
    of which nothing is left to resize. A difference above twice the largest of those is more than
    that many grey levels.
    """
    levels = NATURAL_LEVELS if natural else UNNATURAL_LEVELS
    fp32 = check.metadata.quantization.method == "none"
    steps = _by_reference if check.reference is not None and fp32 else _by_itself
    expected, shifted = steps(check, inputs[0], levels)
    pairs = [pair for outputs in shifted for pair in zip(expected, outputs, strict=True)]
    moved = max((_distance(one, other) for one, other in pairs), default=0.0)
    actual = check.runner.forward(inputs)
    bound = Tolerance(atol=2 * moved + check.tolerance.atol, rtol=check.tolerance.rtol)
    comparison = compare(expected, actual, bound)
    size = f"{inputs[0].shape[0]} x {inputs[0].shape[1]}"
    return Verdict(
        problem=""
        if comparison
        else f"a {size} image differs from Pillow + timm by more than {levels:g} grey levels "
        f"would explain: {comparison}",
        comparison=comparison,
        expected=tuple(expected),
        actual=tuple(actual),
    )


def _by_reference(check: Check, image: np.ndarray, levels: float) -> tuple[Outputs, list[Outputs]]:
    import torch

    assert check.reference is not None
    assert check.metadata.preprocessing is not None
    tensor = check.reference.preprocess(image)
    std = torch.tensor(check.metadata.preprocessing.std).view(1, -1, 1, 1)
    signs = torch.Generator().manual_seed(check.seed)
    noise = torch.randint(0, 2, (2, *tensor.shape), generator=signs) * 2 - 1
    shifted = [
        check.reference.classify(tensor + move / 255 / std)
        for move in (torch.tensor(0.5), torch.tensor(-0.5), levels * noise[0], levels * noise[1])
    ]
    return check.reference.classify(tensor), shifted


def _by_itself(check: Check, image: np.ndarray, levels: float) -> tuple[Outputs, list[Outputs]]:
    assert check.metadata.preprocessing is not None
    resized = pillow_resize(check.metadata.preprocessing, image)
    rng = np.random.default_rng(check.seed)
    noise = rng.choice((-levels, levels), (2, *resized.shape))
    moves = [resized.astype(np.float64) + change for change in (1, -1, noise[0], noise[1])]
    calls = [[resized], *([np.clip(moved, 0, 255).astype(np.uint8)] for moved in moves)]
    outputs = []
    for answer in check.runner.run(calls, 1):
        if isinstance(answer, RuntimeCheckError):
            raise answer
        outputs.append(answer)
    return outputs[0], outputs[1:]


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))


def preprocessing(check: Check) -> PropertyResult:
    """Preprocessing in the graph agrees with Pillow and timm for images of any size."""
    spec = check.metadata.input
    if not isinstance(spec, ImageInput) or check.metadata.preprocessing is None:
        return _skipped("preprocessing", "the file takes tensors: preprocessing is the app's")
    scale = max(unresized_size(check.metadata.preprocessing))
    strategy = image_recipes(spec, max_pixels=check.max_pixels, scale=scale)
    result = _explore(check, "preprocessing", strategy, _examine_preprocessing)
    if check.reference is None or check.metadata.quantization.method != "none":
        how = "resize only, the file against itself on Pillow's resized image; "
        result = replace(result, reason=how + result.reason)
    return result


# --- load anywhere -----------------------------------------------------------------------------


def load_anywhere(check: Check) -> PropertyResult:
    """What the loading process is set to does not change the outputs: the check sets the engine.

    Fresh processes under other thread environments must give the same verdict on the golden
    vectors. Engines that phones do not have are tried too; what they do is only noted.
    """
    started = time.perf_counter()
    if check.runner.costly:
        return _skipped("load-anywhere", "a device runtime has one engine")
    cases = check.artifact.golden.cases
    tolerance = tolerance_of(check.artifact.golden.tolerance)

    def replayed(engine: str, threads: int, environment: Mapping[str, str]) -> Comparison | str:
        try:
            with open_host(
                check.artifact.path, engine=engine, threads=threads, environment=environment
            ) as session:
                outputs = [
                    session.forward([i.array() for i in case.inputs], threads=threads).outputs
                    for case in cases
                ]
        except RuntimeCheckError as error:
            return str(error)
        expected = [e.array() for case in cases for e in case.expected]
        return compare(expected, [o for group in outputs for o in group], tolerance)

    settings_tried = (
        (1, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}),
        (2, {"OMP_NUM_THREADS": "4", "OMP_DYNAMIC": "TRUE"}),
    )
    worst: Comparison | None = None
    for threads, environment in settings_tried:
        outcome = replayed("qnnpack", threads, environment)
        if not outcome or isinstance(outcome, str):
            return _failed(
                "load-anywhere", f"loaded under {environment}: {outcome}", started, _only(outcome)
            )
        worst = _worse(worst, outcome)
    other = _server_engine()
    reason = "the same under 2 thread environments"
    status: Status = "passed"
    if other:
        outcome = replayed(other, 1, {})
        if isinstance(outcome, str):
            # Refusing is what an int8 file packed for phones should do there.
            reason += f"; the server engine {other} refuses it"
        elif not outcome:
            status = "noted"
            reason += f"; the server engine {other}, which no phone has, gives: {outcome}"
        else:
            reason += f" and under the engine {other}"
    return PropertyResult(
        name="load-anywhere",
        status=status,
        reason=reason,
        examples=len(settings_tried) + bool(other),
        seconds=time.perf_counter() - started,
        comparison=worst,
    )


def _only(outcome: Comparison | str) -> Comparison | None:
    return None if isinstance(outcome, str) else outcome


def _server_engine() -> str:
    import torch

    engines = torch.backends.quantized.supported_engines
    return next((str(e) for e in engines if e not in ("qnnpack", "none")), "")


# --- the registry ------------------------------------------------------------------------------


def _skipped(name: str, reason: str) -> PropertyResult:
    return PropertyResult(name=name, status="skipped", reason=reason)


def _failed(
    name: str, reason: str, started: float, comparison: Comparison | None = None
) -> PropertyResult:
    return PropertyResult(
        name=name,
        status="failed",
        reason=reason,
        seconds=time.perf_counter() - started,
        comparison=comparison,
    )


# Cheap and telling first.
PROPERTIES: dict[str, Callable[[Check], PropertyResult]] = {
    "golden": golden,
    "metadata": metadata,
    "parity": parity,
    "preprocessing": preprocessing,
    "determinism": determinism,
    "batch": batch,
    "nonfinite": nonfinite,
    "load-anywhere": load_anywhere,
}

EXAMINERS: dict[str, Examiner] = {
    "parity": _examine_parity,
    "nonfinite": _examine_nonfinite,
    "determinism": _examine_determinism,
    "batch": _examine_batch,
    "metadata": _examine_metadata,
    "preprocessing": _examine_preprocessing,
}
NEEDS_REFERENCE = frozenset({"parity", "nonfinite"})
