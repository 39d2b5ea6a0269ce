"""Quantize Linear layers whose input ranges are taken while the model runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
import torch.ao.nn.quantized.dynamic as nnqd
from torch import Tensor, nn

from ..errors import NotFinite
from ..recipes import QuantizeRecipe
from ..rewrites.layers import is_plain_conv, is_plain_linear, replace_submodule
from ..rewrites.watch import Example, arguments, watch
from .describe import LayerReport, Quantized, float_layer, nothing_quantized
from .engine import quantized_engine, require_phone_packing
from .place import layer_names, match_layers, traced_copy
from .weights import quantized_weight, weight_scales

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
        """Quantize `x` by the range it has now, and map its last dimension."""
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


def apply_dynamic(module: nn.Module, recipe: QuantizeRecipe, example: Example) -> Quantized:
    """Quantize a copy of `module` (eval, float32) for dynamic ranges, and report on its layers.

    Raises NothingQuantized where it has no layer for that.
    """
    base, recipe, notes = traced_copy(module, recipe, example)
    names = layer_names(base)
    kept = match_layers(recipe.float_layers, names)
    flow = watch(base, example)
    reports, chosen = [], []
    for name in names:
        layer = base.get_submodule(name)
        if name in kept:
            why = "asked for"
        elif is_plain_conv(layer):
            why = "the engine has no dynamic convolution; static quantization takes it"
        elif not flow.calls.get(name):
            why = "its forward is not called; its owner reads its weights directly"
        else:
            assert is_plain_linear(layer)
            chosen.append(name)
            reports.append(
                LayerReport(
                    name=name,
                    kind="Linear",
                    int8=True,
                    weights=f"int8 {recipe.granularity}",
                    parameters=sum(p.numel() for p in layer.parameters()),
                )
            )
            continue
        reports.append(float_layer(name, layer, why))
    with quantized_engine():
        recurrent = quantize_recurrent(base)
        if not chosen and not recurrent:
            raise nothing_quantized(module, recipe, {})
        quantize_dynamic(base, chosen, per_channel=recipe.granularity == "per_channel")
        require_phone_packing(base)
        with torch.no_grad():
            base(*arguments(example))
    convolutions = sum(is_plain_conv(m) for m in base.modules())
    if convolutions > len(chosen):
        notes.append(
            f"Dynamic quantization takes Linear layers only: {len(chosen)} of them, while "
            f"{convolutions} convolutions stay float. Static quantization takes both."
        )
    if recurrent:
        notes.append(f"{len(recurrent)} recurrent layers are dynamic int8 as well.")
    return Quantized(module=base.eval(), recipe=recipe, layers=tuple(reports), notes=tuple(notes))
