"""What XNNPACK is given of a program: all it takes, and arithmetic between int8 layers in float.

XNNPACK would compute a sum of two int8 tensors in int8, with factors of its own rounding: a value
near the middle between two codes goes to the other one. Our int8 module dequantizes, adds and
quantizes, and so must the program, if the two are to agree to the bit. On EfficientNet-Lite0 int8
sums alone left 39 dB between them.
"""

from __future__ import annotations

from typing import Any


def partitioner() -> Any:
    """Return XNNPACK's partitioner; executorch, which is an extra, is imported here."""
    from executorch.backends.xnnpack.partition import config
    from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    arithmetic = (config.AddConfig, config.SubConfig, config.MulConfig, config.MeanDimConfig)

    def in_float(_: object) -> list[Any]:
        return [ConfigPrecisionType.FP32]

    configs = [
        type(one.__name__, (one,), {"supported_precision_types": in_float})
        if one in arithmetic
        else one
        for one in config.ALL_PARTITIONER_CONFIGS
    ]
    return XnnpackPartitioner(configs=configs)
