from __future__ import annotations

from runtime_check.reference.packaged import PACKAGED, packaged_file


def test_the_default_models_weights_are_here() -> None:
    path = packaged_file("tf_efficientnet_lite0")
    assert path is not None
    assert path.is_file()


def test_other_models_have_none() -> None:
    assert packaged_file("resnet18") is None
    assert packaged_file("") is None


def test_each_distribution_brings_its_package() -> None:
    for known in PACKAGED.values():
        assert known.distribution.replace("-", "_") == known.package
