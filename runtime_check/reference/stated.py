"""Whether a file says of its preprocessing and labels what timm says of the model.

A file may well differ: whoever exported it can ask for other means or labels. But parity is judged
with what the file states, so that a false statement agrees with itself; a reader has to know.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..artifact.metadata import Metadata
from ..errors import BuildError
from .timm_models import import_timm

# Of timm's configuration, by the names of the metadata.
_FIELDS = ("interpolation", "crop_pct", "crop_mode", "mean", "std")


def timm_says(network: nn.Module) -> dict[str, Any] | None:
    """Return timm's configuration of the model's images; None for a model that has none of timm's.

    Somebody's own module may carry a `pretrained_cfg` too. Raises `BuildError` where timm cannot
    make sense of it.
    """
    own = getattr(network, "pretrained_cfg", None)
    if not own or not (isinstance(own, dict) or hasattr(own, "to_dict")):
        return None
    import_timm("What timm says of the model")
    from timm.data import resolve_data_config

    try:
        config: dict[str, Any] = resolve_data_config({}, model=network, use_test_size=False)
        for name in ("input_size", "mean", "std"):
            config[name] = tuple(config[name])
    except Exception as error:
        raise BuildError(
            f"The model's own preprocessing (its pretrained_cfg) cannot be used: {error}."
        ) from error
    return config


def stated_otherwise(metadata: Metadata, network: nn.Module) -> list[str]:
    """List in words what the metadata states otherwise than timm; [] for a model without its own.

    Source: `timm.data.resolve_data_config` and timm's list of ImageNet classes.
    """
    config = timm_says(network)
    if config is None:
        return []
    from timm.data import ImageNetInfo

    found = []
    preprocessing = metadata.preprocessing
    if preprocessing is not None:
        for name in _FIELDS:
            stated, own = _plain(getattr(preprocessing, name)), _plain(config[name])
            if stated != (own or "center" if name == "crop_mode" else own):
                found.append(f"{name} {stated} where timm has {own}")
    labels = metadata.output.labels
    if labels is not None and len(labels) == 1000:
        info = ImageNetInfo()
        other = [i for i, text in enumerate(labels) if text != str(info.index_to_description(i))]
        if other:
            found.append(
                f"{len(other)} labels that are not ImageNet's (first: class {other[0]} is "
                f"{labels[other[0]]!r:.60}, not {info.index_to_description(other[0])!r:.60})"
            )
    return found


def _plain(value: Any) -> Any:
    """Return sequences as lists of rounded numbers: JSON has no tuples and prints no float32."""
    return [round(float(v), 6) for v in value] if isinstance(value, (list, tuple)) else value
