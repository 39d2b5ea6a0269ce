"""What both libraries say when something does not work, and when a model was verified."""

from __future__ import annotations

from .tiny import Json, text

# One template per kind of failure. `remedy` is the platform's own: how an app takes in a runtime.
FAILURES = {
    "missing_record": "{file} has no {record}: it was not made by `python -m exporter`. "
    "Export the model again.",
    "schema_older": "{file} has schema version {version}, and this app reads {reads}.x. "
    "Export the model again.",
    "schema_newer": "{file} has schema version {version}, and this app reads {reads}.x. "
    "Update the app.",
    "damaged": "{file} is damaged or was not made by `python -m exporter`: {why}. Export it again.",
    "not_vouched_for": "{file} was not opened: {why}, and this app takes only models that key "
    "{key} signed. Get the file again from those who sign it, or sign it: "
    "`python -m exporter sign FILE --key KEY`.",
    "bad_public_key": "The public key built into this app ({text}) is not one of minisign's, so "
    "no model is opened. Build the app again with the line RW... of "
    "`python -m exporter keygen NAME`.",
    "runtime_absent": "{file} is for {runtime}, which this app was built without. {remedy}, or "
    "export the model with `--format {other}`.",
    "cannot_open": "{file} does not load: {why}. It is damaged, or it needs an operator that "
    "this app's runtime does not have. Check it on a computer with "
    "`python -m runtime_check FILE --run-on {run_on}`.",
    "run_failed": "{file} loaded but did not run: {why}. Check it on a computer with "
    "`python -m runtime_check FILE --run-on {run_on}`.",
    "takes_tensors": "{file} takes tensors, not photos ({inputs}): it was exported with "
    "`--input tensor`. Its golden vectors and its benchmark run; for photos export it without "
    "that.",
    "photo_too_small": "This photo ({width} x {height}) is too small: the model needs at least "
    "{limit} pixels per side. Choose a larger one.",
    "photo_too_long": "This photo ({width} x {height}) is too long and narrow: the model takes up "
    "to {limit} times as long as wide. Crop it.",
    "photo_too_large": "This photo ({width} x {height}) is too large: the model takes up to "
    "{limit} pixels per side. Make it smaller.",
    "photo_unreadable": "This photo cannot be read: {why}. Try another, JPEG, PNG or WebP.",
    "out_of_memory": "Not enough memory for {what}. Close other apps, or choose a smaller one.",
    "closed": "{file} was closed: open it again.",
}

_FILE: Json = {"file": "net.ptl"}
_PHOTO: Json = {"width": "40", "height": "3000"}
_CASES: list[tuple[str, Json]] = [
    ("missing_record", {**_FILE, "record": "metadata.json"}),
    ("schema_older", {**_FILE, "version": "1.4", "reads": "2"}),
    ("schema_newer", {**_FILE, "version": "3.0", "reads": "2"}),
    ("damaged", {**_FILE, "why": "field output.labels: 3 labels for 4 classes"}),
    (
        "not_vouched_for",
        {**_FILE, "why": "it is not signed", "key": "0123456789ABCDEF"},
    ),
    ("bad_public_key", {"text": "RWnonsense"}),
    (
        "runtime_absent",
        {"file": "net.pte", "runtime": "ExecuTorch", "remedy": "Take it in", "other": "ptl"},
    ),
    ("cannot_open", {**_FILE, "why": "Unknown builtin op: aten::nms", "run_on": "arm64-2.1.0"}),
    (
        "run_failed",
        {"file": "net.pte", "why": "it asks for more memory", "run_on": "arm64-executorch"},
    ),
    ("takes_tensors", {**_FILE, "inputs": "x: float32 1 x 3 x 8 x 8, mask: bool 1 x 8"}),
    ("photo_too_small", {**_PHOTO, "limit": "48"}),
    ("photo_too_long", {**_PHOTO, "limit": "64"}),
    ("photo_too_large", {**_PHOTO, "limit": "2048"}),
    ("photo_unreadable", {"why": "it is damaged"}),
    ("out_of_memory", {"what": "net.ptl"}),
    ("closed", _FILE),
]

_VERIFIED = "Verified on this device: {passed} of {cases} golden inputs match Python{figures}."
_NOT_VERIFIED = (
    "NOT verified: only {passed} of {cases} golden inputs match Python{figures}. First: {first}. "
    "This device computes different results than the computer that exported the file, so don't "
    "trust what it says. On a computer, `python -m runtime_check FILE --run-on {run_on}` shows "
    "where the difference starts."
)


def _verdict(
    passed: int, cases: int, *, max_abs: float | None, allowed: float, several: bool = False,
    top1: float | None = None, first: str | None = None, run_on: str = "arm64-2.1.0",
) -> Json:  # fmt: skip
    """One verification as both libraries hold it, and its sentence."""
    figures = []
    if max_abs is not None:
        most = f"{'up to ' if several else ''}{allowed:.1e}"
        figures.append(f"max |d| {max_abs:.1e} (allowed {most})")
    if top1 is not None:
        figures.append(f"top-1 agreement {100 * top1:.0f} %")
    words = _VERIFIED if passed == cases > 0 else _NOT_VERIFIED
    return {
        "cases": cases, "passed": passed, "max_abs": max_abs, "allowed": allowed,
        "several": several, "top1": top1, "first_problem": first, "run_on": run_on,
        "sentence": words.format(
            passed=passed, cases=cases, first=first, run_on=run_on,
            figures="; " + ", ".join(figures) if figures else "",
        ),
    }  # fmt: skip


def sentences() -> dict[str, str]:
    """`sentences.json`: every failure with its arguments, and verdicts, each with its sentence."""
    value: Json = {
        "about": "failures: kind, arguments (all as text) and the sentence that both libraries "
        "make of them. verdicts: what replaying the golden vectors gave, and its sentence; "
        "several: each of several outputs has a tolerance of its own, `allowed` is the largest.",
        "failures": [
            {"kind": kind, "arguments": given, "sentence": FAILURES[kind].format(**given)}
            for kind, given in _CASES
        ],
        "verdicts": [
            _verdict(5, 5, max_abs=1.7e-6, allowed=6.6e-6, top1=1.0),
            _verdict(2, 2, max_abs=0.0, allowed=1e-5, several=True),
            _verdict(3, 3, max_abs=None, allowed=0.0),
            _verdict(
                2, 3, max_abs=0.25, allowed=1e-5, top1=2 / 3, first="noise: a value differs",
                run_on="arm64-executorch",
            ),
            _verdict(0, 0, max_abs=None, allowed=1e-5, first="there is nothing to compare"),
        ],
    }  # fmt: skip
    return {"sentences.json": text(value)}
