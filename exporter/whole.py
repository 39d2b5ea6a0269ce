"""The whole of what is shipped: preprocessing, the network, and what is done to its outputs.

Twice: in eager Python, and as TorchScript around a captured network, whose type says how its
outputs are reached. The one is the reference of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from runtime_check.outputs import flatten

from .errors import CaptureError
from .image.preprocess import Preprocess
from .meaning.outputs import Meaning, OutputMeaning
from .outputs import Path
from .postprocess.photo import onto_photo
from .quiet import quiet


class Whole(nn.Module):
    """A shipped model in eager Python.

    `forward` takes what the file takes, one uint8 photo `[H, W, 3]` where there is preprocessing,
    and returns what the file returns: a tensor, or a list of them.
    """

    def __init__(self, preprocess: Preprocess | None, network: nn.Module, meaning: Meaning) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.network = network
        self.meaning = meaning

    def forward(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        """Run all of it."""
        given = inputs if self.preprocess is None else (self.preprocess(inputs[0]),)
        outputs = flatten(self.network(*given))
        finished = finish(self.meaning, outputs, inputs[0], self.preprocess)
        return finished[0] if self.meaning.returned == "tensor" else finished


def finish(
    meaning: Meaning, outputs: Sequence[Tensor], photo: Tensor, preprocess: Preprocess | None
) -> list[Tensor]:
    """Turn a network's outputs for `photo` into what the file gives."""
    finished = []
    for output, drops, value in zip(meaning.outputs, meaning.drops_batch, outputs, strict=True):
        for step in output.steps:
            if step.function == "softmax":
                value = torch.softmax(value, _axis(step.axis))
            elif step.function == "sigmoid":
                value = torch.sigmoid(value)
            elif step.function == "normalize":
                value = nn.functional.normalize(value, dim=_axis(step.axis))
            elif step.function == "argmax":
                value = torch.argmax(value, _axis(step.axis))
        if output.is_bool or output.is_mapped:
            value = value.to(torch.uint8)
        value = value[0] if drops else value
        if any(step.function == "resize" for step in output.steps):
            assert preprocess is not None, "only a photo's classes are put onto it"
            height, width = photo.shape[0], photo.shape[1]
            resized = preprocess.target_size(height, width)
            corner = preprocess.corner(*resized)
            network = (preprocess.crop_h, preprocess.crop_w)
            value = onto_photo(value, (height, width), resized, corner, network)
        finished.append(value)
    return finished


def _axis(axis: int | None) -> int:
    return -1 if axis is None else axis


# --- TorchScript ----------------------------------------------------------------------------------


def scripted(
    network: torch.jit.ScriptModule,
    meaning: Meaning,
    preprocess: Preprocess | None,
    *,
    arguments: int,
    paths: Sequence[Path],
) -> torch.jit.ScriptModule:
    """Wrap a captured network, which takes `arguments` tensors.

    `paths` say where eager's outputs are in what it returns, keys and indices from the outside in.
    Raises `CaptureError` where they are not to be had in the captured one.
    """
    if preprocess is None and _gives_as_it_is(network, meaning):
        return network
    # A class of its own: TorchScript shares what it compiles between objects of one class.
    shell: nn.Module = type("Shipped", (nn.Module,), {})()
    shell.network = network
    if preprocess is not None:
        shell.preprocess = preprocess
    try:
        with quiet():
            # Compiled as a submodule, so that what the text below calls is there.
            made: Any = torch.jit.script(shell)
            made.define(_source(network, meaning, preprocess, arguments, paths))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise CaptureError(
            f"its outputs cannot be reached one by one ({lines[0] if lines else 'unknown'})"
        ) from error
    whole: torch.jit.ScriptModule = made.eval()
    return whole


def _gives_as_it_is(network: torch.jit.ScriptModule, meaning: Meaning) -> bool:
    """Whether a bare network already returns what the file is to return."""
    kind = _returned(network)
    one = meaning.returned == "tensor" and kind.kind() == "TensorType"
    return meaning.is_plain and (
        one or (meaning.returned == "list" and str(kind) == "List[Tensor]")
    )


def _returned(network: torch.jit.ScriptModule) -> Any:
    method: Any = network._c._get_method("forward")
    return method.schema.returns[0].type


def _source(
    network: torch.jit.ScriptModule,
    meaning: Meaning,
    preprocess: Preprocess | None,
    arguments: int,
    paths: Sequence[Path],
) -> str:
    """Write `forward` as TorchScript."""
    names = [f"input_{i}" for i in range(arguments)]
    given = ["self.preprocess(input_0)"] if preprocess is not None else names
    lines = [f"given = self.network({', '.join(given)})"]
    for index, access in enumerate(_accesses(network, len(meaning.outputs), paths)):
        name = f"output_{index}"
        lines.append(f"{name} = given{access}")
        lines += _steps(meaning.outputs[index], name, drops=meaning.drops_batch[index])
    outputs = ", ".join(f"output_{i}" for i in range(len(meaning.outputs)))
    lines.append(f"return {outputs}" if meaning.returned == "tensor" else f"return [{outputs}]")
    declared = ", ".join(f"{name}: Tensor" for name in names)
    kind = "Tensor" if meaning.returned == "tensor" else "List[Tensor]"
    body = "".join(f"    {line}\n" for line in lines)
    return f"def forward(self, {declared}) -> {kind}:\n{body}"


def _accesses(network: torch.jit.ScriptModule, count: int, paths: Sequence[Path]) -> list[str]:
    """Say in TorchScript how each output is reached in what the network returns."""
    kind = _returned(network)
    if kind.kind() == "TensorType" and count == 1:
        return [""]
    if kind.kind() == "TupleType" and [str(e) for e in kind.elements()] == ["Tensor"] * count:
        return [f"[{index}]" for index in range(count)]  # flat: a trace's are
    return ["".join(f"[{part!r}]" for part in path) for path in paths]


def _steps(output: OutputMeaning, name: str, *, drops: bool) -> list[str]:
    """Write what is done to one output."""
    lines = []
    for step in output.steps:
        axis = _axis(step.axis)
        if step.function in ("softmax", "argmax"):
            lines.append(f"{name} = torch.{step.function}({name}, {axis})")
        elif step.function == "sigmoid":
            lines.append(f"{name} = torch.sigmoid({name})")
        elif step.function == "normalize":
            lines.append(f"{name} = torch.nn.functional.normalize({name}, dim={axis})")
    if output.is_bool or output.is_mapped:
        lines.append(f"{name} = {name}.to(torch.uint8)")
    if drops:
        lines.append(f"{name} = {name}[0]")
    if any(step.function == "resize" for step in output.steps):
        lines += [
            "photo = (input_0.shape[0], input_0.shape[1])",
            "resized = self.preprocess.target_size(photo[0], photo[1])",
            "corner = self.preprocess.corner(resized[0], resized[1])",
            "network = (self.preprocess.crop_h, self.preprocess.crop_w)",
            f"{name} = onto_photo({name}, photo, resized, corner, network)",
        ]
    return lines
