"""Try the ladder of recipes, measure each, and take the least work within the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from runtime_check.metrics import CLASSES, Metric

from ..errors import BudgetNotMet, QuantizeError
from ..options import DEFAULT_BUDGET, Budget
from ..progress import Listener, silent
from ..recipes import QuantizeRecipe
from ..rewrites.watch import Example
from .apply import QuantizeImages, quantize
from .calibrate import calibrate, first_image, images_in
from .describe import Quantized
from .engine import quantized_engine
from .evaluate import (
    AGREEMENT,
    Accuracy,
    Outputs,
    Speed,
    judge,
    measure_speed,
    meets,
    run_batches,
)
from .place import simulate_int8
from .sensitivity import measure_sensitivity, smallest_float_set
from .work import count_work

_SENSITIVITY_IMAGES = 16
# Timed runs of each candidate, for the table alone.
_ROUNDS = 15


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One row of the table; `why_not` is empty for a candidate within the budget.

    `work` is what one image costs, in float32 multiply-accumulates; it decides. `speed` is this
    machine's, and decides nothing. `quantized` is None for the float reference and for a recipe
    that failed, `work` for the latter.
    """

    name: str
    accuracy: Accuracy | None = None
    work: int | None = None
    speed: Speed | None = None
    why_not: str = ""
    quantized: Quantized | None = None


@dataclass(frozen=True, kw_only=True)
class AutoResult:
    """The chosen candidate and its module, the whole table, and sentences to show.

    `agreement` is what the table calls the metric's figure, which is in `unit` where there is one.
    """

    chosen: Candidate
    quantized: Quantized
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
    agreement: str = AGREEMENT["classes"]
    unit: str = ""

    def table(self) -> str:
        """Return the table as plain text, one row per candidate."""
        return render(self.candidates, self.chosen.name, self.agreement, self.unit)


def render(
    candidates: Sequence[Candidate],
    chosen: str = "",
    agreement: str = AGREEMENT["classes"],
    unit: str = "",
) -> str:
    """Render `candidates` as a Markdown table; blank cells were not measured.

    `agreement` is what the metric's figure is called, `unit` that of values.
    """
    heading = f"{agreement}, {unit}" if unit else agreement
    lines = [
        f"| recipe | int8 layers | SQNR dB | {heading} | accuracy | "
        "M float multiply-accumulates | ms here | MB | verdict |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    shown = "{:.4f}" if agreement == AGREEMENT["vectors"] else "{:.1%}"
    for row in candidates:
        got, speed = row.accuracy, row.speed
        count = "" if row.quantized is None else str(row.quantized.int8_layers)
        db = "" if got is None or got.sqnr_db is None else f"{got.sqnr_db:.1f}"
        agree = "" if got is None or got.agreement is None else shown.format(got.agreement)
        if got is not None and got.mean_abs is not None:
            agree = f"{got.mean_abs:.3g}"
        share = "" if got is None or got.accuracy is None else f"{got.accuracy:.1%}"
        work = "" if row.work is None else _millions(row.work)
        ms = "" if speed is None else f"{speed.milliseconds:.1f}"
        megabytes = "" if speed is None else f"{speed.bytes / 1e6:.2f}"
        verdict = "chosen" if row.name == chosen else row.why_not
        if row.name == "none" and row.name != chosen:
            verdict = "reference"
        lines.append(
            f"| {row.name} | {count} | {db} | {agree} | {share} | "
            f"{work} | {ms} | {megabytes} | {verdict} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Exam:
    """What candidates are judged on: normalized batches, class indices if known, the budget.

    They are judged by `metric`, on the network's outputs, whose values are in `unit`.
    """

    measured: Sequence[Example]
    labels: Tensor | None = None
    budget: Budget = DEFAULT_BUDGET
    metric: Metric = CLASSES
    unit: str = ""

    @property
    def agreement(self) -> str:
        """What the metric's agreement is called."""
        return AGREEMENT[self.metric.kind]

    def judge(self, reference: Outputs, module: nn.Module) -> Accuracy:
        """Compare `module` with the float model's outputs, and both with the labels."""
        with quantized_engine():
            outputs = run_batches(module, self.measured)
            return judge(reference, outputs, self.labels, self.metric)


def choose(
    module: nn.Module,
    recipes: Sequence[QuantizeRecipe],
    images: QuantizeImages,
    exam: Exam,
    *,
    tell: Listener = silent,
) -> AutoResult:
    """Measure the candidates and return the one with the least work within the budget.

    Where the first static recipe misses the budget, the same is tried with the fewest float layers
    that meet it. QAT is tried where nothing before it met the budget. The exam's images should be
    others than those of the calibration. Work is counted, not timed, so the same module and images
    give the same choice on a busy machine; of equal work, the first in the order of `recipes` is
    taken. Times are this machine's, one thread, for the table alone. `tell` is called with the
    candidate and the progress. Raises BudgetNotMet, with the table, when nothing is within the
    budget, and UncountedWork when the work of an operator is not known.
    """
    float_work = count_work(module, first_image(images.example))
    reference = run_batches(module, exam.measured)
    float_accuracy = judge(reference, reference, exam.labels, exam.metric)
    meets(float_accuracy, exam.budget)  # what can't be judged should fail before the work
    rows = [Candidate(name="none", accuracy=float_accuracy, work=float_work)]

    first = next((recipe for recipe in recipes if recipe.method == "static"), None)
    for recipe in recipes:
        tried = recipe.label in {row.name for row in rows}  # one recipe in modes auto and fx
        if tried or (recipe.method == "qat" and _within(rows)):
            continue
        rows.append(_attempt(module, recipe, images, exam, reference, tell))
        if recipe is first and rows[-1].why_not:
            rows.append(_rescued(module, recipe, images, exam, reference, tell))
    tell("measuring latency", 0, 0)
    return _pick(_with_speed(rows, module, images.example), exam)


def _attempt(
    module: nn.Module,
    recipe: QuantizeRecipe,
    images: QuantizeImages,
    exam: Exam,
    reference: Outputs,
    tell: Listener,
) -> Candidate:
    """Quantize by one recipe and judge it; a recipe that fails is a row without figures."""
    tell(recipe.label, 0, 0)
    try:
        quantized = quantize(
            module,
            recipe,
            images,
            metric=exam.metric,
            tell=lambda what, done, total: tell(f"{recipe.label}: {what}", done, total),
        )
    except QuantizeError as error:
        return Candidate(name=recipe.label, why_not=str(error))
    accuracy = exam.judge(reference, quantized.module)
    return Candidate(
        name=quantized.recipe.label,
        accuracy=accuracy,
        work=count_work(quantized.module, first_image(images.example)),
        why_not="" if meets(accuracy, exam.budget) else f"misses {exam.budget}",
        quantized=quantized,
    )


def _rescued(
    module: nn.Module,
    recipe: QuantizeRecipe,
    images: QuantizeImages,
    exam: Exam,
    reference: Outputs,
    tell: Listener,
) -> Candidate:
    """Try a recipe again with the fewest float layers that meet the budget."""
    assert images.calibration is not None
    name = f"{recipe.label} + float layers"
    tell(name, 0, 0)
    try:
        with quantized_engine():
            simulated = simulate_int8(
                module, recipe, example=images.example, calibration=images.calibration
            )
            calibrate(simulated, images.calibration, metric=exam.metric)
            name = f"{simulated.recipe.label} + float layers"
            few = _first_images(images.calibration, _SENSITIVITY_IMAGES)
            order = measure_sensitivity(
                simulated, few, metric=exam.metric, leave_one_out=False, tell=tell
            )
            found = smallest_float_set(
                simulated,
                order,
                exam.measured,
                exam.budget,
                labels=exam.labels,
                metric=exam.metric,
            )
    except QuantizeError as error:
        return Candidate(name=name, why_not=str(error))
    kept = tuple(dict.fromkeys((*recipe.float_layers, *found.float_layers)))
    chosen = replace(recipe, float_layers=kept)
    return replace(_attempt(module, chosen, images, exam, reference, tell), name=name)


def _within(rows: Sequence[Candidate]) -> list[Candidate]:
    return [row for row in rows if row.quantized is not None and not row.why_not]


def _first_images(batches: Sequence[Example], count: int) -> list[Example]:
    taken: list[Example] = []
    left = count
    for batch in batches:
        if left <= 0:
            break
        taken.append(batch[:left] if isinstance(batch, Tensor) else batch)
        left -= images_in(taken[-1])
    return taken


def _with_speed(rows: Sequence[Candidate], module: nn.Module, example: Example) -> list[Candidate]:
    modules = {"none": module}
    modules |= {row.name: row.quantized.module for row in rows if row.quantized is not None}
    speeds = measure_speed(modules, first_image(example), rounds=_ROUNDS)
    return [replace(row, speed=speeds.get(row.name)) for row in rows]


def _pick(rows: Sequence[Candidate], exam: Exam) -> AutoResult:
    within = _within(rows)
    if not within:
        raise BudgetNotMet(
            f"No recipe is within the budget ({exam.budget}), so nothing was written.\n"
            f"{render(rows, agreement=exam.agreement, unit=exam.unit)}\n"
            "Loosen the budget, calibrate on images closer to the measured ones, or train "
            "(--quantize qat --train DIR)."
        )
    chosen = min(within, key=_work)  # of equal ones, the first
    reference = rows[0]
    assert chosen.quantized is not None  # what is within the budget was made
    notes = [*chosen.quantized.notes]
    if len(within) > 1:
        notes.append(
            f"{chosen.name} was chosen of {len(within)} as the least work for a phone: "
            f"{_millions(_work(chosen))} million float multiply-accumulates, or what takes as "
            "many instructions. Work is counted; the times are this machine's and decide nothing."
        )
    if _work(chosen) > _work(reference):
        notes.append(
            f"Every int8 recipe within the budget is more work for a phone than float32: "
            f"{chosen.name} is {_millions(_work(chosen))} million float multiply-accumulates, "
            f"float32 {_millions(_work(reference))}. It is smaller; if speed is what you want, "
            "export in float (--quantize none)."
        )
    return AutoResult(
        chosen=chosen,
        quantized=chosen.quantized,
        candidates=tuple(rows),
        notes=tuple(notes),
        agreement=exam.agreement,
        unit=exam.unit,
    )


def _work(row: Candidate) -> int:
    assert row.work is not None  # of the reference and of what was made it is known
    return row.work


def _millions(work: int) -> str:
    return f"{work / 1e6:,.3g}" if work < 1e8 else f"{work / 1e6:,.0f}"
