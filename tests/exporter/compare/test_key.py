"""A key changes with whatever may change a result, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from exporter.compare.key import Contents, code_sha256, factory_sha256, key_of
from exporter.compare.plan import ModelChoice, Trial
from exporter.errors import ImageFolderError

from .trials import plan, write_pictures


def static(photos: Path, **changes: object) -> Trial:
    (trial,) = plan("resnet18", recipes=("static",), calibration=photos).trials()
    return replace(trial, **changes)


def key(trial: Trial, code: str = "code") -> str:
    return key_of(trial, Contents(), code)


def test_the_same_content_elsewhere_is_the_same_key(tmp_path: Path) -> None:
    here = write_pictures(tmp_path / "here", 2)
    there = write_pictures(tmp_path / "there", 2)
    assert key(static(here)) == key(static(there))


def test_what_is_in_the_folder_counts(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 2)
    before = key(static(photos))
    (photos / "notes.txt").write_text("not an image", encoding="utf-8")
    assert key(static(photos)) == before
    (photos / "001.png").rename(photos / "002.png")
    renamed = key(static(photos))
    assert renamed != before, "order decides which images are taken"
    write_pictures(photos, 3, seed=1)
    assert key(static(photos)) not in (before, renamed)


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "static-qnnpack"},
        {"input_size": 160},
        {"format": "pte"},
        {"calibration": "noise"},
        {"calibration_images": 1},
        {"seed": 1},
        {"choice": ModelChoice(model="resnet34", random_weights=True)},
        {"choice": ModelChoice(model="resnet18")},
        {"choice": ModelChoice(model="resnet18", random_weights=True, name="other")},
    ],
)
def test_every_choice_counts(changes: dict[str, object], tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 1)
    assert key(static(photos, **changes)) != key(static(photos))


def test_the_code_counts(tmp_path: Path) -> None:
    trial = static(write_pictures(tmp_path / "photos", 1))
    assert key(trial, "code") != key(trial, "other code")
    assert code_sha256() == code_sha256()


def test_weights_count_by_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"weights")
    (tmp_path / "b.pt").write_bytes(b"weights")
    keys = {}
    for name in ("a", "b"):
        choice = ModelChoice(model="resnet18", weights=tmp_path / f"{name}.pt")
        keys[name] = key(static(write_pictures(tmp_path / "photos", 1), choice=choice))
    assert keys["a"] == keys["b"]
    (tmp_path / "b.pt").write_bytes(b"others")
    choice = ModelChoice(model="resnet18", weights=tmp_path / "b.pt")
    assert key(static(tmp_path / "photos", choice=choice)) != keys["b"]


def test_calibration_does_not_count_where_nothing_is_calibrated(tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos", 1)
    (with_images,) = plan("resnet18", calibration=photos).trials()
    (without,) = plan("resnet18").trials()
    assert key(with_images) == key(without)


def test_a_folder_without_images_is_said_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError, match="holds no image file"):
        key(static(tmp_path))


def test_the_source_of_a_factory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text("def make(): ...", encoding="utf-8")
    first = factory_sha256("nets:make")
    (tmp_path / "nets.py").write_text("def make(): ...  # changed", encoding="utf-8")
    assert first is not None
    assert factory_sha256("nets:make") not in (None, first)
    assert factory_sha256("resnet18") is None
    assert factory_sha256("nowhere_at_all:make") is None
