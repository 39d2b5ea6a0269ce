"""Whether a file says of its preprocessing and labels what timm says of the model.

A file may well differ: whoever exported it can ask for other means or labels. But parity is judged
with what the file states, so that a false statement agrees with itself; a reader has to know.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from ..artifact.metadata import Metadata
from .timm_models import import_timm

# Of timm's configuration, by the names of the metadata.
_FIELDS = ("interpolation", "crop_pct", "crop_mode", "mean", "std")


def stated_otherwise(metadata: Metadata, network: nn.Module) -> list[str]:
    """List in words what the metadata states otherwise than timm; [] for a model without its own.

    Source: `timm.data.resolve_data_config` and timm's list of ImageNet classes.
    """
    if not hasattr(network, "pretrained_cfg"):
        return []
    import_timm("What timm says of the model")
    from timm.data import ImageNetInfo, resolve_data_config

    found = []
    preprocessing = metadata.preprocessing
    if preprocessing is not None:
        config = resolve_data_config({}, model=network, use_test_size=False)
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
