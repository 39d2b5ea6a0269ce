"""A model that only a file names is counted before it is built, and not built beyond a limit."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import torch

from runtime_check.artifact.metadata import Metadata, Provenance
from runtime_check.errors import BuildError
from runtime_check.reference import reference as building
from runtime_check.reference.build import build
from runtime_check.reference.reference import NoReference, build_reference
from runtime_check.reference.size import TooLarge, parameter_bytes, require_affordable

ENORMOUS = "eva02_enormous_patch14_clip_224"


def naming(metadata: Metadata, model: str, origin: str = "random") -> Metadata:
    old = metadata.provenance.model_dump()
    weights = {**old["weights"], "origin": origin}
    new = {**old, "source": "timm", "model": model, "weights": weights}
    return metadata.model_copy(update={"provenance": Provenance.model_validate(new)})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was built for real; nothing is."""
    names: list[str] = []

    def spy(model: str, **_: Any) -> Any:
        names.append(model)
        raise BuildError("not built in this test")

    monkeypatch.setattr(building, "build", spy)
    return names


@pytest.mark.parametrize("name", ["resnet10t", "test_vit", "tf_efficientnet_lite0"])
def test_the_count_is_that_of_the_built_model(name: str) -> None:
    module = build(name, weights="random").module
    real = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
    assert parameter_bytes(name, exportable=True) == real


def test_counting_leaves_no_trace() -> None:
    state = torch.random.get_rng_state()
    parameter_bytes("resnet10t", exportable=True)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"
    assert not torch.nn.modules.module._global_parameter_registration_hooks
    assert not torch.nn.modules.module._global_module_registration_hooks


@pytest.mark.parametrize("exportable", [True, False])
def test_an_enormous_model_is_refused_in_seconds(
    exportable: bool, tensor_ptl: Any, built: list[str]
) -> None:
    started = time.perf_counter()
    with pytest.raises(NoReference, match=r"17\.4 GB of parameters.*--allow-large") as caught:
        build_reference(naming(tensor_ptl.metadata, ENORMOUS), exportable=exportable)
    assert f"--reference {ENORMOUS}" in str(caught.value)
    assert time.perf_counter() - started < 30
    assert not built


def test_who_asks_for_it_gets_it(tensor_ptl: Any, built: list[str]) -> None:
    metadata = naming(tensor_ptl.metadata, ENORMOUS)
    for options in ({"allow_large": True}, {"reference": ENORMOUS}):
        with pytest.raises(NoReference, match="not built in this test"):
            build_reference(metadata, **options)
    assert built == [ENORMOUS, ENORMOUS]


def test_a_large_input_is_refused(tensor_ptl: Any, image_ptl: Any, built: list[str]) -> None:
    def with_input(metadata: Metadata, change: Any) -> Metadata:
        value = naming(metadata, "resnet10t").model_dump()
        change(value)
        return Metadata.model_validate(value)

    for metadata in (
        with_input(
            tensor_ptl.metadata,
            lambda value: value["input"]["tensors"][0].update(shape=[1, 3, 2048, 2049]),
        ),
        with_input(
            image_ptl.metadata,
            lambda value: value["preprocessing"].update(input_size=[3, 2049, 2048]),
        ),
    ):
        with pytest.raises(NoReference, match=r"12\.6 million values.*--allow-large"):
            build_reference(metadata)
    assert not built


def test_a_name_that_does_not_exist_is_said(tensor_ptl: Any) -> None:
    with pytest.raises(NoReference, match="no model called 'resnet10x'"):
        build_reference(naming(tensor_ptl.metadata, "resnet10x"))


def config(**model_args: Any) -> dict[str, bytes]:
    value = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 3,
        "pretrained_cfg": {"input_size": [3, 224, 224], "num_classes": 3},
        "model_args": model_args,
    }
    return {"config.json": json.dumps(value).encode(), "model.safetensors": b"weights"}


def test_a_description_on_the_hub_is_counted(hub_cache: Any, tensor_ptl: Any) -> None:
    hub_cache("me/net", config(embed_dim=24, num_heads=2, depth=2))
    assert 50_000 < parameter_bytes("hf-hub:me/net", exportable=True) < 200_000
    hub_cache("me/wide", config(embed_dim=20_000, num_heads=2, depth=2))
    metadata = naming(tensor_ptl.metadata, "hf-hub:me/wide", "hub")
    with pytest.raises(TooLarge, match=r"GB of parameters"):
        require_affordable(metadata, exportable=True, download=True)


@pytest.mark.parametrize(
    ("model_args", "words"),
    [
        ({"depth": 20_000, "embed_dim": 24, "num_heads": 2}, "or 20000 modules"),
        ({"depth": 10**9}, "holds the number 1e.09"),
        ({"img_size": [10**7, 10**7]}, "holds the number 1e.07"),
    ],
)
def test_a_description_without_end_is_refused(
    model_args: dict[str, Any], words: str, hub_cache: Any, tensor_ptl: Any
) -> None:
    hub_cache("me/net", config(**model_args))
    started = time.perf_counter()
    with pytest.raises(NoReference, match=words):
        build_reference(naming(tensor_ptl.metadata, "hf-hub:me/net", "hub"))
    assert time.perf_counter() - started < 30
