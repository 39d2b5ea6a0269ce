"""What a counterexample's file holds, name by name, and what is refused as one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from runtime_check.artifact.metadata import ImageInput, InputTensor, Metadata, TensorInput
from runtime_check.errors import RuntimeCheckError
from runtime_check.properties.base import Check, Verdict
from runtime_check.properties.counterexample import (
    Counterexample,
    load_counterexample,
    replay_command,
    require_fit,
    save_counterexample,
)
from runtime_check.properties.inputs import TensorRecipe

from .fakes import photo_input

TAKES = "`--replay` takes the .npz that a failing property saved."
RECIPE = TensorRecipe("normal", None, 5, (((1, 2), "float32"), ((3,), "int64")))
EXPECTED = (np.float32([[1.0, 2.0]]), np.int64([7]), np.float64(0.5) * np.ones(()))
ACTUAL = (np.float32([[1.0, -2.0]]),)
VERDICT = Verdict(problem="it differs", fault="differs", expected=EXPECTED, actual=ACTUAL)
ABOUT: dict[str, Any] = {
    "property": "parity",
    "seed": 11,
    "recipe": repr(RECIPE),
    "natural": True,
    "problem": "it differs",
    "artifact": "my.net.ptl",
    "artifact_sha256": "ab12",
    "runtime": "device",
}


def a_check(folder: Path) -> Check:
    check = SimpleNamespace(
        seed=11,
        artifact=SimpleNamespace(path=Path("somewhere/my.net.ptl")),
        sha256="ab12",
        runtime=SimpleNamespace(name="device"),
        folder=folder,
    )
    return cast(Check, check)


def same(some: tuple[np.ndarray, ...], others: tuple[np.ndarray, ...]) -> bool:
    """Whether they are the same arrays, dtype and shape included."""
    return len(some) == len(others) and all(
        one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
        for one, other in zip(some, others, strict=True)
    )


def test_every_array_has_a_name_and_about_says_whose_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    path = save_counterexample(a_check(folder), "parity", RECIPE, VERDICT)
    assert path == folder / "my.net-parity-device.npz"
    assert [entry.name for entry in folder.iterdir()] == [path.name]
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    assert list(arrays) == [
        "about", "input_0", "input_1", "expected_0", "expected_1", "expected_2", "actual_0",
    ]  # fmt: skip
    assert json.loads(str(arrays["about"])) == ABOUT
    assert same((arrays["input_0"], arrays["input_1"]), tuple(RECIPE.build()))
    assert same(tuple(arrays[f"expected_{i}"] for i in range(3)), EXPECTED)
    assert same((arrays["actual_0"],), ACTUAL)


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    path = save_counterexample(a_check(tmp_path), "parity", RECIPE, VERDICT)
    assert path is not None
    for given in (path, str(path)):
        loaded = load_counterexample(given)
        assert {name: getattr(loaded, name) for name in ABOUT} == ABOUT
        assert same(loaded.inputs, tuple(RECIPE.build()))
        assert same(loaded.expected, EXPECTED)
        assert same(loaded.actual, ACTUAL)


def test_a_strange_input_is_said_to_be_one(tmp_path: Path) -> None:
    path = save_counterexample(
        a_check(tmp_path), "parity", replace(RECIPE, content="large"), VERDICT
    )
    assert path is not None
    assert load_counterexample(path).natural is False


def test_more_than_ten_outputs_keep_their_order(tmp_path: Path) -> None:
    many = tuple(np.int64([i]) for i in range(12))
    path = save_counterexample(
        a_check(tmp_path), "parity", RECIPE, Verdict(expected=many, actual=())
    )
    assert path is not None
    loaded = load_counterexample(path)
    assert same(loaded.expected, many)
    assert loaded.actual == ()


def test_it_replaces_the_one_before(tmp_path: Path) -> None:
    save_counterexample(a_check(tmp_path), "parity", RECIPE, VERDICT)
    path = save_counterexample(a_check(tmp_path), "parity", RECIPE, replace(VERDICT, problem="2"))
    assert path is not None
    assert load_counterexample(path).problem == "2"
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_written_a_warning_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.warns(UserWarning, match="The failing input is not saved: Cannot write ") as said:
        path = save_counterexample(a_check(tmp_path / "file"), "parity", RECIPE, VERDICT)
    assert path is None
    assert [warning.filename for warning in said] == [__file__]  # the caller's line


def test_no_object_is_pickled(tmp_path: Path) -> None:
    objects = (np.array([{"a": 1}], object),)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        save_counterexample(a_check(tmp_path), "parity", RECIPE, replace(VERDICT, actual=objects))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("run_on", "shown"),
    [
        ("host", "python -m runtime_check a.ptl --replay b.npz"),
        ("device", "python -m runtime_check a.ptl --run-on device --replay b.npz"),
        ("a device", "python -m runtime_check a.ptl --run-on 'a device' --replay b.npz"),
    ],
)
def test_the_command_replays_where_it_failed(run_on: str, shown: str) -> None:
    assert replay_command(Path("a.ptl"), run_on, Path("b.npz")) == shown


def test_the_command_can_be_pasted_whatever_the_names() -> None:
    shown = replay_command(Path("my net.ptl"), "host", Path("it's.npz"))
    assert shown == """python -m runtime_check 'my net.ptl' --replay 'it'"'"'s.npz'"""


def refused(path: Path | str) -> str:
    with pytest.raises(RuntimeCheckError) as caught:
        load_counterexample(path)
    return str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.npz"
    assert refused(tmp_path) == f"{tmp_path} is a folder. {TAKES}"
    assert refused(missing) == f"{missing} is not there. {TAKES}"
    assert refused(str(missing)) == f"{missing} is not there. {TAKES}"


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({}, "KeyError: "),
        ({"about": np.array("{")}, "JSONDecodeError: "),
        ({"about": np.array(json.dumps({**ABOUT, "more": 1}))}, "TypeError: "),
        ({"about": np.array(json.dumps({"seed": 1}))}, "TypeError: "),
        # Reading an object would run what the file says.
        ({"about": np.array(json.dumps(ABOUT), object)}, "ValueError: Object arrays cannot be "),
        ({"about": np.array(json.dumps(ABOUT)), "input_1": np.zeros(1)}, "KeyError: "),
    ],
)
def test_another_npz_is_refused(arrays: dict[str, Any], why: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    message = refused(path)
    assert message.startswith(f"{path} is not a counterexample ({why}")
    assert message.endswith(f"). {TAKES}")


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_text("no archive")
    assert refused(path).startswith(f"{path} is not a counterexample (")


def test_arrays_of_other_names_are_left_alone(tmp_path: Path) -> None:
    arrays: Any = {"inputs": np.zeros(1), "more_input_0": np.ones(1), "input_0": np.full(1, 2.0)}
    np.savez(tmp_path / "a.npz", about=np.array(json.dumps(ABOUT)), **arrays)
    loaded = load_counterexample(tmp_path / "a.npz")
    assert same(loaded.inputs, (np.full(1, 2.0),))
    assert loaded.expected == loaded.actual == ()


def fits(spec: ImageInput | TensorInput, *inputs: np.ndarray) -> str:
    """Return what is said against the inputs; "" where they are the file's."""
    saved = Counterexample(**ABOUT, inputs=inputs, expected=(), actual=())
    metadata = cast(Metadata, SimpleNamespace(input=spec, format="ptl"))
    try:
        require_fit(saved, metadata, where="a.npz does not fit")
    except RuntimeCheckError as error:
        return str(error)
    return ""


IMAGE = photo_input(min_side=8, max_side=2000)
TENSOR = TensorInput(
    tensors=[InputTensor(name="x", shape=[1, 2], dtype="float32")], dynamic_batch=True
)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((4, 5, 3), "float32"),
        ((4, 5, 3), "int8"),
        ((4, 3), "uint8"),
        ((2, 2, 3, 1), "uint8"),
        ((3, 3, 3, 3), "uint8"),
        ((4, 5, 4), "uint8"),
        ((4, 5, 1), "uint8"),
        ((3, 4, 5), "uint8"),
    ],
)
def test_only_a_photo_is_an_images_input(shape: tuple[int, ...], dtype: str) -> None:
    assert fits(IMAGE, np.zeros(shape, dtype)) == (
        "a.npz does not fit: this artifact takes a uint8 image, height x width x 3, not "
        f"{dtype} {list(shape)}. Was it saved of another file?"
    )


@pytest.mark.parametrize(("color", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_a_photo_has_the_channels_of_the_files_color(color: str, channels: int) -> None:
    spec = IMAGE.model_copy(update={"color": color})
    for given in (1, 2, 3, 4):
        said = fits(spec, np.zeros((4, 5, given), np.uint8))
        assert (said == "") is (given == channels)
        assert said == "" or f"height x width x {channels}, not" in said


def test_a_photo_of_any_size_fits_and_two_do_not() -> None:
    photo = np.zeros((4, 5, 3), np.uint8)
    assert fits(IMAGE, photo) == ""
    assert fits(IMAGE, np.zeros((1, 1, 3), np.uint8)) == ""
    for inputs in ((), (photo, photo)):
        assert fits(IMAGE, *inputs) == (
            f"a.npz does not fit: this artifact takes one image, not {len(inputs)} inputs. "
            "Was it saved of another file?"
        )


def test_tensors_are_held_to_the_metadata_and_to_nothing_of_photos() -> None:
    assert fits(TENSOR, np.zeros((1, 2), np.float32)) == ""
    assert fits(TENSOR, np.zeros((6, 2), np.float32)) == ""
    message = fits(TENSOR, np.zeros((1, 3), np.float32))
    assert message.startswith("a.npz does not fit: this artifact takes [('float32', [1, 2])]")
    assert message.endswith("not [('float32', [1, 3])]. Was it saved of another file?")
    assert fits(TENSOR, np.zeros((4, 5, 3), np.uint8))
    assert fits(TENSOR)
