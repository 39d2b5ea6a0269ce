from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from runtime_check.bench import peers
from runtime_check.options import PEER_NAMES
from runtime_check.runtimes.host import Peer, start_host


def test_every_peer_has_needs_a_package_and_a_way_to_int8() -> None:
    assert tuple(peers.NEEDS) == PEER_NAMES
    packages = {name: peers.package(name) for name in peers.NEEDS}
    assert set(packages.values()) == {"torch", "onnxruntime", "executorch"}
    assert peers.quantization("eager") == "none"
    assert peers.quantization("executorch-dynamic") == "dynamic"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert peers.missing("eager") == ""
    assert peers.missing("executorch") == "not installed (pip install executorch torchao)"


def test_a_child_builds_the_peer_that_its_frame_names(tensor_ptl: Any) -> None:
    options = {"peer": "eager", "trust_factory": True}
    peer = Peer(name="eager", build=peers.BUILD, options=options)
    inputs = [np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)]
    with start_host(timeout=120) as session:
        session.load(path=tensor_ptl.path, engine="qnnpack", threads=1, memory=0, peer=peer)
        eager = session.forward(inputs).outputs[0]
        assert session.version.startswith("2.")
        session.load(path=tensor_ptl.path, engine="qnnpack", threads=1, memory=0)
        np.testing.assert_allclose(session.forward(inputs).outputs[0], eager, atol=2e-5)
