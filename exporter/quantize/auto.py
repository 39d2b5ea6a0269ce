"""Try the ladder of recipes, measure each, and take the fastest within the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from ..errors import BudgetNotMet, QuantizeError
from ..progress import Listener, silent
from .api import Quantized, finish, quantize
from .engine import quantized_engine
from .evaluate import Accuracy, Budget, Speed, judge, measure_speed, run
from .qat import TrainingSet
from .recipes import Mode, QuantizeRecipe, find_recipe
from .sensitivity import measure_sensitivity, smallest_float_set
from .simulate import calibrate, simulate_int8

# Agreement asked for when the user states no budget: what a person would call "the same".
DEFAULT_BUDGET = Budget(min_agreement=0.95)
_SENSITIVITY_IMAGES = 16


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One row of the table; `why_not` is empty for a candidate within the budget.

    `quantized` is None for the float reference and for a recipe that failed.
    """

    name: str
    accuracy: Accuracy | None
    speed: Speed | None
    why_not: str
    quantized: Quantized | None


@dataclass(frozen=True, kw_only=True)
class AutoResult:
    """The chosen candidate, the whole table, and sentences to show."""

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]

    def table(self) -> str:
        """Return the table as plain text, one row per candidate."""
        return render(self.candidates, self.chosen.name)


def render(candidates: Sequence[Candidate], chosen: str = "") -> str:
    """Render `candidates` as a Markdown table; blank cells were not measured."""
    lines = [
        "| recipe | int8 layers | SQNR dB | top-1 agreement | accuracy | ms | MB | verdict |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in candidates:
        got, speed = row.accuracy, row.speed
        count = "" if row.quantized is None else str(row.quantized.int8_layers)
        db = "" if got is None or got.sqnr_db is None else f"{got.sqnr_db:.1f}"
        agree = "" if got is None or got.agreement is None else f"{got.agreement:.1%}"
        share = "" if got is None or got.accuracy is None else f"{got.accuracy:.1%}"
        ms = "" if speed is None else f"{speed.milliseconds:.1f}"
        megabytes = "" if speed is None else f"{speed.bytes / 1e6:.2f}"
        verdict = "chosen" if row.name == chosen else row.why_not
        if row.name == "none" and row.name != chosen:
            verdict = "reference"
        lines.append(
            f"| {row.name} | {count} | {db} | {agree} | {share} | {ms} | {megabytes} | {verdict} |"
        )
    return "\n".join(lines)


def choose(
    module: nn.Module,
    *,
    example: Tensor,
    calibration: Sequence[Tensor],
    measured: Sequence[Tensor],
    labels: Tensor | None = None,
    budget: Budget = DEFAULT_BUDGET,
    mode: Mode = "auto",
    train: TrainingSet | None = None,
    checkpoint: Path | None = None,
    allow_noise: bool = False,
    cheap_activations: bool = True,
    rounds: int = 15,
    tell: Listener = silent,
) -> AutoResult:
    """Measure the ladder on `measured` batches and return the fastest recipe within `budget`.

    The ladder: static on XNNPACK; the same with the fewest float layers that meet the budget,
    where it missed; static on QNNPACK; dynamic; QAT when `train` is given and nothing else met
    the budget. `measured` should be other images than `calibration`. Times are this machine's,
    one thread. `tell(what, done, total)` hears which candidate is tried and how far it is.
    Raises BudgetNotMet, with the table, when nothing is within the budget.
    """
    reference = run(module, measured)
    float_accuracy = judge(reference, reference, labels)
    budget.met_by(float_accuracy)  # a budget that can't be judged should fail before the work
    suffix = "" if mode == "eager" else "-fx"
    rows: list[Candidate] = [
        Candidate(name="none", accuracy=float_accuracy, speed=None, why_not="", quantized=None)
    ]

    def attempt(name: str, make: Callable[[], Quantized]) -> bool:
        tell(name, 0, 0)
        try:
            made = make()
        except BudgetNotMet as error:
            rows.append(_failed(name, str(error)))
            return False
        except QuantizeError as error:
            rows.append(_failed(name, str(error)))
            return False
        with quantized_engine():
            accuracy = judge(reference, run(made.module, measured), labels)
        met = budget.met_by(accuracy)
        why = "" if met else f"misses {budget}"
        rows.append(
            Candidate(name=name, accuracy=accuracy, speed=None, why_not=why, quantized=made)
        )
        return met

    def plain(name: str) -> Callable[[], Quantized]:
        recipe = replace(find_recipe(name), mode=mode, cheap_activations=cheap_activations)
        return lambda: quantize(
            module,
            recipe,
            example=example,
            calibration=calibration,
            allow_noise=allow_noise,
            train=train,
            checkpoint=checkpoint,
            tell=lambda what, done, total: tell(f"{name}: {what}", done, total),
        )

    static = f"static-xnnpack{suffix}"
    met = attempt(static, plain(static))
    if not met:

        def rescued() -> Quantized:
            recipe = replace(find_recipe(static), mode=mode, cheap_activations=cheap_activations)
            return _with_float_layers(
                module, recipe, example, calibration, measured, labels, budget, tell
            )

        met = attempt(f"{static} + float layers", rescued)
    attempt(f"static-qnnpack{suffix}", plain(f"static-qnnpack{suffix}"))
    attempt(f"dynamic{suffix}", plain(f"dynamic{suffix}"))
    if train is not None and not met:
        attempt(f"qat-xnnpack{suffix}", plain(f"qat-xnnpack{suffix}"))
    tell("measuring latency", 0, 0)
    rows = _with_speed(rows, module, example, rounds)
    return _pick(rows, budget)


def _failed(name: str, why: str) -> Candidate:
    return Candidate(name=name, accuracy=None, speed=None, why_not=why, quantized=None)


def _with_float_layers(
    module: nn.Module,
    recipe: QuantizeRecipe,
    example: Tensor,
    calibration: Sequence[Tensor],
    measured: Sequence[Tensor],
    labels: Tensor | None,
    budget: Budget,
    tell: Listener,
) -> Quantized:
    with quantized_engine():
        simulated = simulate_int8(module, recipe, example=example, calibration=calibration)
        calibrate(simulated, calibration)
        few = _first_images(calibration, _SENSITIVITY_IMAGES)
        order = measure_sensitivity(
            simulated,
            few,
            leave_one_out=False,
            tell=tell,
        )
        found = smallest_float_set(simulated, order, measured, budget, labels=labels)
        chosen = replace(recipe, float_layers=found.float_layers)
        again = simulate_int8(module, chosen, example=example, calibration=calibration)
        images = calibrate(again, calibration)
        return finish(again, calibration[0][:1], images=images)


def _first_images(batches: Sequence[Tensor], count: int) -> list[Tensor]:
    taken, left = [], count
    for batch in batches:
        if left <= 0:
            break
        taken.append(batch[:left])
        left -= len(taken[-1])
    return taken


def _with_speed(
    rows: list[Candidate], module: nn.Module, example: Tensor, rounds: int
) -> list[Candidate]:
    modules = {"none": module}
    modules |= {row.name: row.quantized.module for row in rows if row.quantized is not None}
    speeds = measure_speed(modules, example[:1], rounds=rounds)
    return [replace(row, speed=speeds.get(row.name)) for row in rows]


def _pick(rows: Sequence[Candidate], budget: Budget) -> AutoResult:
    within = [row for row in rows if row.quantized is not None and not row.why_not]
    if not within:
        raise BudgetNotMet(
            f"No recipe is within the budget ({budget}), so nothing was written.\n"
            f"{render(rows)}\nLoosen the budget, calibrate on images closer to the measured ones, "
            "or train (--quantize qat --train DIR)."
        )
    chosen = min(within, key=lambda row: _milliseconds(row))
    reference = rows[0]
    notes: list[str] = []
    if chosen.quantized is not None:
        notes += chosen.quantized.notes
    if _milliseconds(chosen) > _milliseconds(reference):
        notes.append(
            f"Every int8 recipe within the budget is slower than float32 on this machine: "
            f"{chosen.name} takes {_milliseconds(chosen):.1f} ms, float32 "
            f"{_milliseconds(reference):.1f} ms. It is smaller; if speed is what you want, export "
            "in float (--quantize none)."
        )
    return AutoResult(chosen=chosen, candidates=tuple(rows), notes=tuple(notes))


def _milliseconds(row: Candidate) -> float:
    return float("inf") if row.speed is None else row.speed.milliseconds
