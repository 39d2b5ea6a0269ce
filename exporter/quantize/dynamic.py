"""Quantise Linear layers whose input ranges are taken while the model runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
import torch.ao.nn.quantized.dynamic as nnqd
from torch import Tensor, nn

from ..errors import NotFinite
from ..rewrites.layers import replace_submodule
from .layers import quantized_weight, weight_scales

# Recurrent layers have dynamic kernels as well; torch.ao converts those whole.
_RECURRENT: Mapping[type[nn.Module], str] = {
    nn.LSTM: "LSTM",
    nn.GRU: "GRU",
}


class DynamicLinear(nnqd.Linear):  # type: ignore[misc]  # torch.ao is untyped
    """torch.ao's dynamic Linear, asking for the 8-bit range that QNNPACK takes anyway.

    torch.ao asks for 7 bits, which x86 kernels need; QNNPACK ignores that with a warning at run.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Quantise `x` by the range it has now, and map its last dimension."""
        out: Tensor = torch.ops.quantized.linear_dynamic(
            x, self._packed_params._packed_params, reduce_range=False
        )
        return out


def dynamic_linear(layer: nn.Linear, name: str, *, per_channel: bool) -> nn.Module:
    """Return the dynamic int8 form of `layer`, packed for the engine set now.

    Raises NotFinite for NaN or infinite weights.
    """
    if not bool(torch.isfinite(layer.weight).all()):
        raise NotFinite(f"Layer {name} has NaN or infinite weights. Check the checkpoint.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = DynamicLinear(layer.in_features, layer.out_features, dtype=torch.qint8)
    scales = weight_scales(layer.weight, per_channel, search=True)
    kernel.set_weight_bias(quantized_weight(layer.weight, scales), layer.bias)
    made: nn.Module = kernel.eval()
    return made


def quantize_dynamic(module: nn.Module, names: list[str], *, per_channel: bool) -> None:
    """Replace the Linear layers `names` of `module` in place by dynamic int8 ones."""
    for name in names:
        layer = module.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        replace_submodule(module, name, dynamic_linear(layer, name, per_channel=per_channel))


def quantize_recurrent(module: nn.Module) -> list[str]:
    """Replace LSTM and GRU layers in place by torch.ao's dynamic int8 ones; name them."""
    from torch.ao.quantization import default_dynamic_qconfig

    done = []
    for name, child in list(module.named_modules()):
        if type(child) in _RECURRENT and name:
            made = {nn.LSTM: nnqd.LSTM, nn.GRU: nnqd.GRU}[type(child)]
            child.qconfig = default_dynamic_qconfig
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                replace_submodule(module, name, made.from_float(child))
            done.append(name)
    return done
