"""Count the work of a network, so that a choice between networks does not hang on a clock.

The unit is one multiply-accumulate of a float32 layer. What else there is counts as many of those
as it takes ARM64 instructions on the phone's runtime (PyTorch 2.1.0 on a Cortex-A76):
`tests/benchmarks/product_costs.md` has them for the kinds of layers,
`tests/benchmarks/operator_costs.md` for everything that works element by element. For
EfficientNet-Lite0 that makes int8 0.50 of float32, where `tests/benchmarks/speed.md` counts 0.49.

The operators counted are those of the eager network. Saving changes few of them: a clamp after a
float layer becomes part of it, and counts nothing here either. What no recipe touches (pooling,
resizing) is counted roughly, by its elements: it is the same in every candidate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import UncountedWork
from ..rewrites.watch import Example, Recorder, arguments
from ..trial import FLOPS
from .engine import quantized_engine

Kernel = Literal["float", "xnnpack", "qnnpack"]

# Instructions per multiply-accumulate, from product_costs.md. QNNPACK's are those of dynamic int8.
_DENSE: Mapping[Kernel, float] = {"float": 0.33, "xnnpack": 0.093, "qnnpack": 0.33}
# The means of 3x3 and 5x5.
_DEPTHWISE: Mapping[Kernel, float] = {"float": 0.88, "xnnpack": 0.86, "qnnpack": 1.29}
# QNNPACK computes rows (tokens, positions) by the eight: one costs 2.56 where many cost 0.33 each.
_QNNPACK_ROWS = 8

# Instructions per element, from operator_costs.md.
_QUANTIZE, _DEQUANTIZE, _INT8_ELEMENT = 2.21, 1.38, 3.02
_EXPONENTIAL, _NORM, _ELEMENT = 51.0, 5.25, 1.23
# Range and rounding of a dynamic layer's input: what it takes beyond a static one's layer.
_DYNAMIC_INPUT = 3.0
# Elementary operations of `postprocess/nms` on two boxes, with two rounds.
_PAIR = 33

_EXPONENTIALS = re.compile(
    "exp2?|expm1|sigmoid|tanh|gelu|silu|mish|elu|softplus|log|log2|log1p|log_sigmoid_forward|erf|"
    "erfinv|sin|cos|_softmax|_log_softmax|logsumexp"
)
_NORMS = re.compile("native_(layer|group|batch)_norm|_native_batch_norm_legit(_no_training)?")
# Their inputs are tables, of which they read some elements.
_LOOKUPS = frozenset({"embedding", "index", "index_select", "gather", "take"})
_FREE = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "_unsafe_view"})
# Words in the names of operators that multiply matrices: one that is not counted is refused.
_PRODUCTS = re.compile(
    "(.*_)?((add|badd|addb|b)?b?mm|matmul|conv[123]d|conv|convolution|linear|attention|rnn|lstm|gru|"
    "transformer|[cp]dist|linalg|fft|cholesky|qr|solve|trilinear|einsum|tensordot)(_.*)?"
)
_INT8_ELEMENTS = re.compile("(add|mul)(_relu|_scalar)?|cat|hardswish|leaky_relu|clamp|relu6")


def count_work(module: nn.Module, example: Example) -> int:
    """Run `module` once on `example` and return its work, in float32 multiply-accumulates.

    `module` is float or int8, of any recipe; the same module and shape give the same number on any
    machine, however busy. Raises UncountedWork for an operator whose work nobody knows.
    """
    counter = _Counter()
    with quantized_engine(), _plain_attention(), torch.no_grad(), Recorder(counter.record):
        module(*arguments(example))
    return round(counter.instructions / _DENSE["float"])


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let nn.MultiheadAttention call operators that can be counted, instead of one for all."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Counter:
    """Add up the instructions of operators; a clamp right after a float layer is part of it."""

    def __init__(self) -> None:
        self.instructions = 0.0
        self._layer: Tensor | None = None  # the output of the last float layer

    def record(self, func: Any, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        """Count one operator; a `Record` of `rewrites.watch`."""
        name = _name(func)
        if name in ("aten::relu", "aten::hardtanh") and self._is_layer(args[0]):
            return
        self.instructions += _instructions(func, name, args, kwargs, result)
        if name in ("aten::convolution", "aten::addmm", "aten::mm"):
            self._layer = result

    def _is_layer(self, x: Tensor) -> bool:
        # By memory: a Linear's output is a view where its input has more than two dimensions.
        return self._layer is not None and self._layer.data_ptr() == x.data_ptr()


def _name(func: Any) -> str:
    """Return `namespace::operator` without the underscore of those that work in place."""
    return str(func._schema.name).rstrip("_")


def _instructions(func: Any, name: str, args: tuple[Any, ...], kwargs: Any, result: Any) -> float:
    packed_sequence = func._overloadname == "data"  # a recurrent layer's, in other order
    special = None if packed_sequence else _SPECIAL.get(name)
    if special is not None:
        return special(args, result)
    flops = FLOPS.get(func.overloadpacket)
    if flops is not None:
        return _DENSE["float"] * int(flops(*args, **kwargs, out_val=result)) / 2
    namespace, _, operator = name.partition("::")
    if namespace == "aten" and not _PRODUCTS.fullmatch(operator):
        returns = func._schema.returns
        if any(r.alias_info is not None and not r.alias_info.is_write for r in returns):
            return 0.0  # a view
        return _per_element(operator) * _elements(operator, args, result)
    if namespace == "quantized" and _INT8_ELEMENTS.fullmatch(operator):
        return _INT8_ELEMENT * _elements(operator, args, result)
    raise UncountedWork(
        f"The network calls {name}, and how much work that is, is not known. --quantize auto needs "
        "to know: it takes the recipe with the least. Ask for one recipe by name (--quantize "
        "static), or replace the operator."
    )


def _per_element(operator: str) -> float:
    if operator in _FREE:
        return 0.0
    if _EXPONENTIALS.fullmatch(operator):
        return _EXPONENTIAL
    return _NORM if _NORMS.fullmatch(operator) else _ELEMENT


def _tensors(values: Any) -> list[Tensor]:
    flat = [v for value in values for v in (value if isinstance(value, list | tuple) else [value])]
    return [value for value in flat if isinstance(value, Tensor)]


def _elements(operator: str, args: tuple[Any, ...], result: Any) -> int:
    """Return the elements written, or read where those are more: a mean reads more."""
    written = max((t.numel() for t in _tensors([result])), default=0)
    if operator in _LOOKUPS or not written:
        return written
    return max(written, 0, *(t.numel() for t in _tensors(args)))


def _layer(kernel: Kernel, rows: int, products: int, *, depthwise: bool = False) -> float:
    """Return the instructions of `products` multiply-accumulates in a layer of so many rows."""
    if depthwise:
        return _DEPTHWISE[kernel] * products
    if kernel == "qnnpack" and rows:
        products = products // rows * -(-rows // _QNNPACK_ROWS) * _QNNPACK_ROWS
    return _DENSE[kernel] * products


def _static_kernel(x: Tensor) -> Kernel:
    """Return whose kernels take `x`: torch's engine `qnnpack` asks XNNPACK for signed int8."""
    return "xnnpack" if x.dtype == torch.qint8 else "qnnpack"


def _convolution(args: tuple[Any, ...], result: Any) -> float:
    x, weight, transposed, groups = args[0], args[1], args[6], args[8]
    products = (x if transposed else result).numel() * prod(weight.shape[1:])
    depthwise = groups > 1 and groups == x.shape[1]
    return _layer("float", 0, products, depthwise=depthwise)


def _int8_convolution(args: tuple[Any, ...], result: Any) -> float:
    x, packed = args[0], args[1]
    weight = torch.ops.quantized.conv2d_unpack(packed)[0]
    depthwise = weight.shape[1] == 1 and x.shape[1] > 1
    rows = result.numel() // result.shape[1]
    products = result.numel() * prod(weight.shape[1:])
    return _layer(_static_kernel(x), rows, products, depthwise=depthwise)


def _int8_linear(args: tuple[Any, ...], result: Any) -> float:
    x = args[0]
    rows = x.numel() // x.shape[-1]
    return _layer(_static_kernel(x), rows, result.numel() * x.shape[-1])


def _dynamic_linear(args: tuple[Any, ...], result: Any) -> float:
    x = args[0]
    rows, products = x.numel() // x.shape[-1], result.numel() * x.shape[-1]
    return _layer("qnnpack", rows, products) + _DYNAMIC_INPUT * float(x.numel())


def _vector(args: tuple[Any, ...], result: Any) -> float:
    return _DENSE["float"] * max(t.numel() for t in _tensors(args))


def _length(args: tuple[Any, ...], result: Any) -> float:
    return _ELEMENT * max(t.numel() for t in _tensors((*args, result)))


def _attention(args: tuple[Any, ...], result: Any) -> float:
    query, key, value = args[:3]
    scores = int(query.numel() // query.shape[-1] * key.shape[-2])
    products = scores * (query.shape[-1] + value.shape[-1])
    return float(_DENSE["float"] * products + _EXPONENTIAL * scores)


def _float_lstm(args: tuple[Any, ...], result: Any) -> float:
    x, weights = args[0], args[1:3]
    steps = int(x.numel() // x.shape[-1])
    products = _DENSE["float"] * sum(weight.numel() for weight in weights)
    return float(steps * (products + _EXPONENTIAL * weights[0].shape[0]))


def _dynamic_recurrent(gates: int) -> Callable[[tuple[Any, ...], Any], float]:
    def count(args: tuple[Any, ...], result: Any) -> float:
        x, state, layers, both_ways, batch_first = args[0], args[1], args[4], args[7], args[8]
        size = (state[0] if isinstance(state, list | tuple) else state).shape[-1]
        ways = 2 if both_ways else 1
        steps, batch = (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
        total = 0.0
        for layer in range(layers):
            width = x.shape[-1] if layer == 0 else size * ways
            products = batch * gates * size * (width + size)
            inputs = _DYNAMIC_INPUT * batch * (width + size)
            curves = _EXPONENTIAL * batch * gates * size
            total += ways * steps * (_layer("qnnpack", batch, products) + inputs + curves)
        return total

    return count


def _suppression(args: tuple[Any, ...], result: Any) -> float:
    """Count what the file runs in its place, which compares every two boxes (`postprocess/nms`)."""
    return _ELEMENT * _PAIR * float(args[0].shape[0] ** 2)


def _quantize(args: tuple[Any, ...], result: Any) -> float:
    return _QUANTIZE * sum(t.numel() for t in _tensors([result]))


def _dequantize(args: tuple[Any, ...], result: Any) -> float:
    return _DEQUANTIZE * sum(t.numel() for t in _tensors([result]))


_SPECIAL: Mapping[str, Callable[[tuple[Any, ...], Any], float]] = {
    "aten::convolution": _convolution,
    "aten::mv": _vector,
    "aten::addmv": _vector,
    "aten::dot": _vector,
    "aten::linalg_vector_norm": _length,
    "aten::_scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten::mkldnn_rnn_layer": _float_lstm,
    "aten::quantized_lstm": _dynamic_recurrent(gates=4),
    "aten::quantized_gru": _dynamic_recurrent(gates=3),
    "aten::quantize_per_tensor": _quantize,
    "aten::dequantize": _dequantize,
    "quantized::conv2d": _int8_convolution,
    "quantized::conv2d_relu": _int8_convolution,
    "quantized::linear": _int8_linear,
    "quantized::linear_relu": _int8_linear,
    "quantized::linear_dynamic": _dynamic_linear,
    "quantized::linear_relu_dynamic": _dynamic_linear,
    "torchvision::nms": _suppression,
}
