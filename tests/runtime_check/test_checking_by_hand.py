"""How a check is put together, every part of it replaced: who gets what, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from runtime_check import checking
from runtime_check.checking import check, open_check
from runtime_check.device.errors import DeviceUnavailable
from runtime_check.errors import RuntimeCheckError
from runtime_check.options import PROFILES, CheckOptions, Demands
from runtime_check.properties.base import PropertyResult, ReferenceRaised
from runtime_check.reference.reference import NoReference, Reference
from runtime_check.reference.rounding import Rounding
from runtime_check.runtimes.run import OutOfTime, Run

from .properties.fakes import Mean, artifact_of, honest

FILE = Path("model.ptl")
KEY = "RWRZIS18rXsELpUGIQfey7vSz8Ja8qhghc98tle6OL20JLvwN4WVi+wk"
ROUNDING = Rounding(raw=(1e-6,), finished=(1e-6,), basis="measured by hand")


@dataclass
class Parts:
    """What the check is made of here, and what its parts were called with."""

    artifact: Any
    reference: Reference | None
    costly: bool = False
    calls: dict[str, list[Any]] = field(default_factory=dict)
    counting: Callable[[], Run] = lambda: Run(outputs=[], seconds=(0.0,), instructions=12345)
    rounding: Callable[[], Rounding] = lambda: ROUNDING
    note: str = ""

    def told(self, name: str, *given: Any, **named: Any) -> None:
        self.calls.setdefault(name, []).append((given, named))


class Fake:
    """A runtime in which nothing runs."""

    name, description, engine = "fake", "torch 0 on paper", "qnnpack"
    load_seconds, load_peak_bytes = 0.0, 0

    def __init__(self, parts: Parts) -> None:
        self.parts, self.costly = parts, parts.costly

    def forward(self, inputs: Sequence[np.ndarray], *, threads: int = 1, repeats: int = 1) -> Run:
        self.parts.told("forward", [x.tolist() for x in inputs], repeats=repeats)
        return self.parts.counting()


@pytest.fixture
def parts(tensor_ptl: Any, monkeypatch: pytest.MonkeyPatch) -> Parts:
    artifact = artifact_of(tensor_ptl.path)
    network = Mean().eval()
    made = Parts(artifact, Reference(name="mean", network=network, metadata=artifact.metadata))

    @contextmanager
    def read_copy(path: Any, **named: Any) -> Iterator[Any]:
        made.told("read_copy", path, **named)
        yield made.artifact, SimpleNamespace(path=Path("copy.ptl"), sha256="c0ffee")

    @contextmanager
    def open_runtime(*given: Any, **named: Any) -> Iterator[Fake]:
        made.told("open_runtime", *given, **named, threads=torch.get_num_threads())
        yield Fake(made)

    def build_reference(*given: Any, **named: Any) -> Reference:
        made.told("build_reference", *given, **named)
        if made.reference is None:
            raise NoReference("it cannot be rebuilt")
        return replace(made.reference, note=made.note)

    def measure_rounding(*given: Any) -> Rounding:
        made.told("measure_rounding", *given)
        return made.rounding()

    def sane(*given: Any, **named: Any) -> None:
        made.told("require_sane_tolerance", *given, **named)

    monkeypatch.setattr(checking, "read_copy", read_copy)
    monkeypatch.setattr(checking, "open_runtime", open_runtime)
    monkeypatch.setattr(checking, "build_reference", build_reference)
    monkeypatch.setattr(checking, "measure_rounding", measure_rounding)
    monkeypatch.setattr(checking, "require_sane_tolerance", sane)
    return made


def quantized(parts: Parts, method: str) -> None:
    stated = parts.artifact.metadata
    changed = stated.quantization.model_copy(update={"method": method})
    metadata = stated.model_copy(update={"quantization": changed})
    parts.artifact = replace(parts.artifact, metadata=metadata)


OPTIONS = CheckOptions(
    reference="some:factory",
    weights=Path("w.pth"),
    trust_factory=True,
    allow_large=True,
    verify_key=KEY,
    timeout=7.0,
    memory=3 * 2**30,
    deadline=900.0,
    seed=5,
    demands=Demands(atol=0.25),
    counterexamples=Path("kept"),
    run_on="arm64-2.1.0",
)


def test_every_part_gets_what_the_user_said(parts: Parts) -> None:
    with open_check("model.ptl", OPTIONS) as opened:
        made = opened.check
        made.runtime.forward([np.zeros(1, np.float32)])
    metadata = parts.artifact.metadata
    assert parts.calls["read_copy"] == [((FILE,), {"verify_key": KEY})]
    assert parts.calls["require_sane_tolerance"] == [
        ((metadata, parts.artifact.golden), {"where": "model.ptl"})
    ]
    assert parts.calls["build_reference"] == [
        (
            (metadata,),
            {
                "reference": "some:factory",
                "weights": Path("w.pth"),
                "trust_factory": True,
                "allow_large": True,
            },
        )
    ]
    started = parts.calls["open_runtime"][0]
    assert started[0] == ("arm64-2.1.0", Path("copy.ptl"))
    assert started[1] == {"timeout": 7.0, "memory": 3 * 2**30, "count": False, "threads": 1}
    assert (made.artifact, made.file, made.sha256) == (parts.artifact, Path("copy.ptl"), "c0ffee")
    assert made.reference is not None
    assert (made.reference.name, made.no_reference) == ("mean", "")
    assert (made.demands, made.seed, made.folder) == (Demands(atol=0.25), 5, Path("kept"))
    assert (made.timeout, made.memory) == (7.0, 3 * 2**30)
    assert opened.runtime_detail == "torch 0 on paper, engine qnnpack"
    assert opened.reference == "mean"


def test_no_message_names_the_private_copy(parts: Parts) -> None:
    parts.counting = lambda: (_ for _ in ()).throw(RuntimeCheckError("copy.ptl is damaged"))
    with open_check(FILE, CheckOptions()) as opened, pytest.raises(RuntimeCheckError) as caught:
        opened.check.runtime.forward([])
    assert str(caught.value) == "model.ptl is damaged"


def test_the_deadline_is_the_users(parts: Parts) -> None:
    said = r"^model\.ptl: its answers took more than 1e-06 s"
    with (
        open_check(FILE, CheckOptions(deadline=1e-6)) as opened,
        pytest.raises(OutOfTime, match=said),
    ):
        opened.check.runtime.require_time()


def test_python_runs_on_one_thread_and_the_caller_gets_his_back(parts: Parts) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with open_check(FILE, CheckOptions()) as opened:
            assert torch.get_num_threads() == 1
            assert opened.check.runtime is not None
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError), open_check(FILE, CheckOptions()):
            raise ZeroDivisionError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("costly", [False, True])
def test_effort_goes_by_the_profile_and_by_what_an_inference_costs(
    profile: Any, costly: bool, parts: Parts
) -> None:
    parts.costly = costly
    effort = PROFILES[profile]
    with open_check(FILE, CheckOptions(profile=profile)) as opened:
        made = opened.check
    assert made.examples == (effort.device_examples if costly else effort.examples)
    wanted = min(effort.max_pixels, 100_000) if costly else effort.max_pixels
    assert made.max_pixels == wanted
    with open_check(FILE, CheckOptions(profile=profile, examples=3)) as opened:
        assert opened.check.examples == 3


def test_a_device_never_gets_more_than_a_tenth_of_a_megapixel(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.costly = True
    for stated, wanted in ((500_000, 100_000), (50_000, 50_000)):
        effort = replace(PROFILES["ci"], max_pixels=stated)
        monkeypatch.setitem(PROFILES, "ci", effort)
        with open_check(FILE, CheckOptions()) as opened:
            assert opened.check.max_pixels == wanted


def test_a_reference_is_named_with_its_note(parts: Parts) -> None:
    parts.note = "other weights"
    with open_check(FILE, CheckOptions()) as opened:
        assert opened.reference == "mean (other weights)"
        assert opened.check.no_reference == ""


def test_without_a_reference_the_reason_is_kept(parts: Parts) -> None:
    parts.reference = None
    with open_check(FILE, CheckOptions()) as opened:
        assert opened.check.reference is None
        assert opened.check.no_reference == opened.reference == "it cannot be rebuilt"
    assert "measure_rounding" not in parts.calls


@pytest.mark.parametrize(
    "asked", [{"reference": "a:b"}, {"weights": Path("w")}, {"reference": "a:b", "weights": FILE}]
)
def test_a_reference_that_was_asked_for_and_cannot_be_had_is_an_error(
    asked: dict[str, Any], parts: Parts
) -> None:
    parts.reference = None
    with pytest.raises(NoReference, match="it cannot be rebuilt"):
        check(FILE, CheckOptions(**asked))


def test_what_may_differ_is_measured_on_inputs_of_our_own(parts: Parts) -> None:
    with open_check(FILE, CheckOptions()) as opened:
        allowance = opened.check.allowance
    ((reference, inputs), _) = parts.calls["measure_rounding"][0]
    assert reference.name == "mean"
    wanted = [recipe.build() for recipe in checking.usual_recipes(parts.artifact.metadata)]
    assert len(inputs) == len(wanted) > 0
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(inputs, wanted, strict=True))
    assert (allowance.rounding, allowance.stated) == (ROUNDING, parts.artifact.metadata.tolerance)
    largest = max(abs(float(e.array().max())) for c in parts.artifact.golden.cases
                  for e in c.expected)  # fmt: skip
    assert allowance.usual[0] >= largest > 0


@pytest.mark.parametrize("error", [ReferenceRaised("no"), ValueError("no")])
def test_a_model_that_raises_leaves_it_unmeasured(error: Exception, parts: Parts) -> None:
    def raises() -> Rounding:
        raise error

    parts.rounding = raises
    with open_check(FILE, CheckOptions()) as opened:
        assert opened.check.allowance.rounding is None


def test_an_int8_file_is_held_to_what_it_states(parts: Parts) -> None:
    quantized(parts, "static")
    with open_check(FILE, CheckOptions()) as opened:
        assert opened.check.allowance.rounding is None
    assert "measure_rounding" not in parts.calls


def result(name: str) -> PropertyResult:
    return PropertyResult(name=name, status="passed", reason="by hand", examples=4)


@pytest.fixture
def properties(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Replace two properties; returns what they were called with."""
    ran: list[tuple[str, Any]] = []

    def one(name: str) -> Callable[[Any], PropertyResult]:
        def run(given: Any) -> PropertyResult:
            ran.append((name, given))
            return result(name)

        return run

    made = {"golden": one("golden"), "parity": one("parity")}
    monkeypatch.setattr(checking, "PROPERTIES", made)
    return ran


def test_a_report_says_what_was_judged_and_how(parts: Parts, properties: list[Any]) -> None:
    heard: list[str] = []
    made = check(FILE, CheckOptions(seed=9, examples=4), listener=heard.append)
    assert heard == [name for name, _ in properties] == ["golden", "parity"]
    assert made.results == (result("golden"), result("parity"))
    assert all(given.artifact is parts.artifact for _, given in properties)
    assert made.artifact is parts.artifact
    assert (made.sha256, made.runtime, made.seed, made.examples) == ("c0ffee", "fake", 9, 4)
    assert made.runtime_detail == "torch 0 on paper, engine qnnpack"
    assert (made.reference, made.has_reference) == ("mean", True)
    assert made.tolerance == "measured by hand"
    assert 0.0 <= made.seconds < 60.0
    assert (made.instructions, made.instructions_note) == (None, "")
    assert "forward" not in parts.calls
    # Without options or a listener, the same.
    assert check(FILE).results == made.results
    parts.reference = None
    assert not check(FILE).has_reference


def test_only_what_was_asked_for_runs(parts: Parts, properties: list[Any]) -> None:
    made = check(FILE, CheckOptions(properties=("parity",)))
    assert [r.name for r in made.results] == ["parity"]


def test_a_saved_input_is_judged_alone_if_it_fits(
    parts: Parts, properties: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = SimpleNamespace()
    loaded: list[Any] = []
    monkeypatch.setattr(checking, "load_counterexample", lambda p: loaded.append(p) or saved)
    monkeypatch.setattr(checking, "require_fit", lambda *g, **n: parts.told("fit", *g, **n))
    monkeypatch.setattr(
        checking, "replay", lambda *given: parts.told("replay", *given) or result("parity")
    )
    made = check(FILE, CheckOptions(replay=Path("a.npz")))
    assert loaded == [Path("a.npz")]
    assert made.results == (result("parity"),)
    assert properties == []
    assert parts.calls["fit"] == [
        ((saved, parts.artifact.metadata), {"where": "a.npz does not fit model.ptl"})
    ]
    ((judged, given), _) = parts.calls["replay"][0]
    assert (judged.artifact, given) == (parts.artifact, saved)


COUNT = CheckOptions(count=True, run_on="arm64-2.1.0", timeout=7.0, memory=2**33)


def test_instructions_are_counted_on_the_second_run_of_the_first_golden_input(
    parts: Parts, properties: list[Any]
) -> None:
    parts.costly = True
    made = check(FILE, COUNT)
    case = parts.artifact.golden.cases[0]
    assert made.instructions == 12345
    assert made.instructions_note == (
        f"golden input {case.name!r}, 1 x 3 x 8 x 8, second run, one thread"
    )
    ((inputs,), named) = parts.calls["forward"][-1]
    assert (inputs, named) == ([i.array().tolist() for i in case.inputs], {"repeats": 2})
    given, named = parts.calls["open_runtime"][-1]
    assert given == ("arm64-2.1.0", Path("copy.ptl"))
    assert (named["count"], named["timeout"], named["memory"]) == (True, 7.0, 2**33)


def test_why_no_instructions_were_counted(parts: Parts, properties: list[Any]) -> None:
    made = check(FILE, COUNT)
    assert made.instructions is None
    assert made.instructions_note.startswith("only emulated device runtimes count")
    assert "forward" not in parts.calls
    parts.costly = True

    def absent() -> Run:
        raise DeviceUnavailable("no qemu")

    parts.counting = absent
    made = check(FILE, COUNT)
    assert (made.instructions, made.instructions_note) == (None, "no qemu")


def test_the_fake_is_honest() -> None:
    """`Mean` is what the golden vectors of these tests are made by."""
    x = np.ones((1, 3, 8, 8), np.float32)
    np.testing.assert_allclose(Mean()(torch.from_numpy(x)).numpy(), honest([x])[0], rtol=1e-6)
