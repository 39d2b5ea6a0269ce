"""What trials read, packed here and laid out elsewhere: the same bytes under the same names."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.compare import parcel
from exporter.compare.plan import ModelChoice, Trial

from .trials import plan, write_pictures


def trial(**values: object) -> Trial:
    (found,) = plan("test_vit", recipes=("static",), calibration="noise").trials()
    return replace(found, **values)  # type: ignore[arg-type]  any field of it


def test_what_a_trial_reads_by_the_names_of_its_fields(tmp_path: Path) -> None:
    choice = ModelChoice(model="test_vit", weights=tmp_path / "w", labels=tmp_path / "l")
    reads = trial(choice=choice, calibration=tmp_path / "c", evaluate=tmp_path / "e")
    assert parcel.inputs_of(reads) == {
        "weights": tmp_path / "w", "labels": tmp_path / "l",
        "calibration": tmp_path / "c", "evaluate": tmp_path / "e",
    }  # fmt: skip
    assert parcel.inputs_of(trial()) == {}, "noise is a word, not a folder"
    assert "calibration" not in parcel.inputs_of(replace(reads, recipe="none")), "not read then"


def test_a_trial_reads_from_other_places(tmp_path: Path) -> None:
    choice = ModelChoice(model="test_vit", weights=tmp_path / "w")
    moved = parcel.with_inputs(
        trial(choice=choice, evaluate=tmp_path / "e"),
        {"weights": Path("/there/w"), "evaluate": Path("/there/e")},
    )
    assert (moved.choice.weights, moved.evaluate) == (Path("/there/w"), Path("/there/e"))
    assert (moved.calibration, moved.choice.labels) == ("noise", None)


def test_a_folder_of_images_arrives_with_its_class_folders(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_pictures(photos / "cats", 2)
    write_pictures(photos / "dogs", 1, seed=1)
    (photos / "cats" / "notes.txt").write_text("not an image", encoding="utf-8")
    data = parcel.packed(photos)
    assert data == parcel.packed(photos), "no times and owners in it"
    place = tmp_path / "cache" / "hash"
    parcel.laid_out(data, place)
    there = {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*.*")}
    assert there == {
        name: (photos / name).read_bytes()
        for name in ("cats/000.png", "cats/001.png", "dogs/000.png")
    }
    parcel.laid_out(b"never read: it is there", place)


def test_a_file_arrives_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"cat\ndog\n")
    parcel.laid_out(parcel.packed(tmp_path / "labels.txt"), tmp_path / "there")
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["labels.txt"]
    assert (tmp_path / "there" / "labels.txt").read_bytes() == b"cat\ndog\n"


def test_what_is_damaged_leaves_no_folder(tmp_path: Path) -> None:
    import tarfile

    with pytest.raises(tarfile.TarError):
        parcel.laid_out(b"no archive", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_factory_takes_its_package_and_the_modules_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mine/__init__.py", "mine/nets/big.py", "helper.py", "mine/weights.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    found = parcel.source_of_factory("mine.nets.big:make")
    assert found is not None
    root, files = found
    assert root == tmp_path
    assert [f.relative_to(root).as_posix() for f in files] == [
        "helper.py", "mine/__init__.py", "mine/nets/big.py",
    ]  # fmt: skip


def test_installed_packages_and_names_of_models_have_no_source_to_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parcel.source_of_factory("timm:create_model") is None
    assert parcel.source_of_factory("test_vit") is None
    assert parcel.source_of_factory("there_is_no_such:thing") is None
    assert sys.path, "looked through above"
