"""A trial away from home, without any cluster: other places, the same result."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.compare import remote
from exporter.compare.parcel import pack, packed, unpack
from exporter.compare.plan import ComparePlan, ModelChoice
from exporter.compare.pool import Ended
from exporter.compare.remote import Done, Errand, Parcel, environment, perform
from exporter.compare.result import RECORD, TrialResult
from exporter.compare.trial import Job

from .trials import plan, write_pictures


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNTIME_CHECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def errand(job: Job, **reads: Parcel) -> Errand:
    return Errand(job=job.to_json(), reads=reads, environment=environment("ptl"))


def nothing(sha256: str) -> bytes:
    raise AssertionError(f"{sha256} was fetched")


def test_a_result_comes_back_with_its_folder(tmp_path: Path) -> None:
    """The job names places of another machine; only what was fetched is there."""
    photos = write_pictures(tmp_path / "photos", 3)
    data = packed(photos)
    photos.rename(tmp_path / "moved")
    asked = ComparePlan(
        models=(ModelChoice(model="test_vit", random_weights=True),), evaluate=photos
    )
    (trial,) = asked.trials()
    job = Job(trial=trial, key="k", folder=Path("/nowhere/trial"), count_on="")
    fetched: list[str] = []

    def fetch(sha256: str) -> bytes:
        fetched.append(sha256)
        return data

    one = errand(job, evaluate=Parcel(sha256="abc", name="", path=str(photos)))
    done = perform(one, fetch)
    result = TrialResult.model_validate_json(done.ended.out)
    assert not result.failed, result.reason
    assert result.quality is not None
    assert result.quality.images == 3
    assert done.folder is not None
    back = tmp_path / "back"
    back.mkdir()
    unpack(done.folder, back)
    assert {RECORD, "test_vit.ptl", "test_vit.report.html"} <= {p.name for p in back.iterdir()}
    assert fetched == ["abc"]
    assert not Path("/nowhere").exists()


def test_what_is_there_is_not_fetched_again_and_failures_name_the_senders_places(
    cache: Path, tmp_path: Path
) -> None:
    place = cache / remote.STORE / "abc"
    place.mkdir(parents=True)
    (place / "broken.safetensors").write_bytes(b"no weights")
    sent = Path("/home/me/broken.safetensors")
    choice = ModelChoice(model="test_vit", weights=sent)
    (trial,) = ComparePlan(models=(choice,)).trials()
    job = Job(trial=trial, key="k", folder=tmp_path / "trial")
    parcel = Parcel(sha256="abc", name=sent.name, path=str(sent))
    done = perform(errand(job, weights=parcel), nothing)
    reason = TrialResult.model_validate_json(done.ended.out).reason
    assert str(sent) in reason
    assert str(cache) not in reason
    assert not (tmp_path / "trial").exists(), "the sender writes it"


def test_a_machine_with_other_versions_runs_nothing(tmp_path: Path) -> None:
    (trial,) = plan("test_vit").trials()
    job = Job(trial=trial, key="k", folder=tmp_path / "trial")
    here = environment("ptl")
    other = {**here, "torch": "1.0.0"}
    done = perform(Errand(job=job.to_json(), reads={}, environment=other), nothing)
    assert done.ended.code == 2
    assert f"has other code: torch {here['torch']} (not 1.0.0)" in done.ended.errors
    assert done.folder is None


def test_what_decides_a_result_is_compared() -> None:
    assert {"exporter", "Python", "torch", "timm", "numpy"} <= {*environment("ptl")}
    assert "executorch" in environment("pte")
    assert "executorch" not in environment("ptl"), "which it does not use"


def test_killed_is_what_the_system_does_when_memory_runs_out() -> None:
    assert Done(ended=Ended(code=-9, out="", errors="")).killed
    assert not Done(ended=Ended(code=-15, out="", errors="")).killed


def test_a_factory_runs_from_the_code_that_was_sent(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "far.py").write_text("from beside import NAME\n", encoding="utf-8")
    (source / "beside.py").write_text("NAME = 'there is no factory'\n", encoding="utf-8")
    data = pack(source, sorted(source.glob("*.py")))
    (trial,) = plan("far:make").trials()
    job = Job(trial=trial, key="k", folder=tmp_path / "trial")
    sent = Parcel(sha256="code", name="", path="/home/me")
    done = perform(errand(job, source=sent), lambda sha256: data)
    reason = TrialResult.model_validate_json(done.ended.out).reason
    assert "far" in reason
    assert "has no" in reason or "make" in reason, "the module was found, and what it imports"
