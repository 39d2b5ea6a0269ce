from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from exporter.errors import TrainingDataError
from exporter.image.preprocess import Preprocess
from exporter.quantize import pixels as pixels_module
from exporter.quantize.training_data import (
    Order,
    Part,
    TrainingSet,
    balancing,
    loader,
    training_set,
)
from exporter.training import TrainingOptions
from runtime_check.artifact.metadata import Preprocessing

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


@pytest.fixture
def preprocess() -> Preprocess:
    spec = Preprocessing(
        input_size=(3, 24, 24),
        interpolation="bicubic",
        crop_pct=1.0,
        crop_mode="center",
        mean=MEAN,
        std=STD,
        in_graph=True,
    )
    return Preprocess(spec, min_side=8, max_side=8192).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten random pictures of 30 x 40; trouser 3 is damaged."""
    random = np.random.default_rng(0)
    for name in ("trouser", "boot"):
        (tmp_path / name).mkdir()
        for index in range(10):
            pixels = random.integers(0, 256, (30, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    (tmp_path / "trouser" / "3.png").write_bytes(b"\x89PNG damaged")
    return tmp_path


def expected(preprocess: Preprocess, folder: Path, names: list[str]) -> torch.Tensor:
    """Each image decoded and preprocessed alone."""
    photos = [np.asarray(Image.open(folder / f"{name}.png")).copy() for name in names]
    return torch.cat([preprocess(torch.from_numpy(photo)) for photo in photos])


def test_a_folder_trains_with_its_class_folders_and_every_tenth_image_validates(
    folder: Path, preprocess: Preprocess
) -> None:
    data = training_set(folder, preprocess, labels=["shirt", "trouser", "boot"])
    assert data.count == 19
    assert data.labels is not None
    assert data.labels.tolist() == [2] * 10 + [1] * 9
    assert data.validation == (0, 10)
    assert [skipped.name for skipped in data.skipped] == ["trouser/3.png"]
    wanted = expected(preprocess, folder, ["boot/1", "trouser/4", "trouser/9"])
    assert torch.equal(data.load([1, 13, 18]), wanted)  # behind the one that is skipped
    assert training_set(folder, preprocess, labels=None).labels is None


def test_an_image_is_decoded_once(folder: Path, preprocess: Preprocess) -> None:
    data = training_set(folder, preprocess, labels=None)
    wanted = expected(preprocess, folder, ["boot/0"])
    for path in folder.rglob("*.png"):
        path.unlink()
    assert torch.equal(data.load([0]), wanted)
    # A process that is spawned gets the set by pickle, and finds the file by itself.
    assert torch.equal(pickle.loads(pickle.dumps(data)).load([0]), wanted)


def test_what_does_not_fit_on_the_disk_is_decoded_each_time(
    folder: Path, preprocess: Preprocess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels_module, "_LARGEST_SHARE", 0.0)
    data = training_set(folder, preprocess, labels=None)
    wanted = expected(preprocess, folder, ["boot/0", "boot/2"])
    assert torch.equal(data.load([0, 2]), wanted)
    (folder / "boot" / "2.png").unlink()
    with pytest.raises(Exception, match="could be read a while ago"):
        data.load([2])


def test_one_image_is_too_few_to_train_on(tmp_path: Path, preprocess: Preprocess) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(TrainingDataError, match="at least two"):
        training_set(tmp_path, preprocess, labels=None)


def images_of(parts: list[Part]) -> list[int]:
    return [image for part in parts for image in part.images]


def test_two_processes_share_the_steps_of_one_with_the_doubled_batch() -> None:
    one = list(Order(trained_on=range(50, 71), batch_size=8, seed=3))
    two = [
        list(Order(trained_on=range(50, 71), batch_size=4, seed=3, rank=rank, world=2))
        for rank in (0, 1)
    ]
    assert sorted(images_of(one)) == list(range(50, 71))
    assert [len(part.images) for part in one] == [8, 8, 5]
    for step, whole in enumerate(one):
        shared = two[0][step].images + two[1][step].images
        assert sorted(shared) == sorted(whole.images)
        # Each process's mean, averaged over both, is the mean of all.
        weights = [two[rank][step].share / len(two[rank][step].images) / 2 for rank in (0, 1)]
        assert weights == pytest.approx([1 / len(whole.images)] * 2)


def test_a_process_without_an_image_takes_the_step_for_nothing() -> None:
    parts = list(Order(trained_on=range(5), batch_size=2, seed=0, rank=1, world=2))
    assert [len(part.images) for part in parts] == [2, 1]
    assert parts[-1].share == 0.0  # the fifth image is the first process's


def test_a_network_of_one_image_moves_after_the_last_of_a_step() -> None:
    parts = list(Order(trained_on=range(5), batch_size=3, seed=0, at_once=1))
    assert [part.ends_step for part in parts] == [False, False, True, False, True]
    assert [part.share for part in parts] == pytest.approx([1 / 3] * 3 + [0.5] * 2)


def test_epochs_differ_and_repeat() -> None:
    order = Order(trained_on=range(30), batch_size=8, seed=0)
    first = order.images()
    order.epoch = 1
    assert order.images() != first
    order.epoch = 0
    assert order.images() == first


def test_balanced_classes_are_drawn_as_often() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    trained_on = [*range(0, 80), *range(90, 98)]
    order = Order(
        trained_on=trained_on, batch_size=8, seed=0, weights=balancing(labels, trained_on)
    )
    drawn = []
    for epoch in range(20):
        order.epoch = epoch
        drawn += order.images()
    assert set(drawn) <= set(trained_on)
    assert sum(image >= 90 for image in drawn) / len(drawn) == pytest.approx(0.5, abs=0.05)
    with pytest.raises(TrainingDataError, match="--balanced"):
        balancing(None, trained_on)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("augment", ["none", "light", "rand"])
def test_readers_give_what_one_process_gives(
    folder: Path, preprocess: Preprocess, workers: int, augment: str
) -> None:
    data = training_set(folder, preprocess, labels=None)
    order = Order(trained_on=data.trained_on, batch_size=4, seed=0)
    options = TrainingOptions(workers=workers, augment=augment)  # type: ignore[arg-type]  # a word
    read = list(loader(data, order, options, pinned=False))
    alone = list(loader(data, order, TrainingOptions(augment=options.augment), pinned=False))
    assert [part for part, _ in read] == list(order)
    for (part, images), (_, same) in zip(read, alone, strict=True):
        assert torch.equal(images, same)
        assert torch.equal(images, data.load(part.images)) == (augment == "none")


def test_augmenting_needs_pixels() -> None:
    data = TrainingSet(load=torch.tensor, count=4, labels=None, validation=(0,))
    order = Order(trained_on=[1], batch_size=4, seed=0)
    with pytest.raises(TrainingDataError, match="pixels"):
        loader(data, order, TrainingOptions(augment="light"), pinned=False)
