"""int8 on a folder of photos.

    python tests/examples/int8_on_photos.py PHOTOS [FOLDER]

Static quantization needs to see what the model will see: a folder of typical photos, some dozens
of them, without labels. They go through the model's own preprocessing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import exporter


def main(photos: str, out: str = "build") -> None:
    artifact = exporter.export(
        "tf_efficientnet_lite0",
        name="tf_efficientnet_lite0_int8",
        quantize="static",
        calibration=photos,
        out=out,
    )
    # The ledger compares every stage with eager float32, on the exporter's own five images.
    for row in artifact.report.ledger:
        print(f"{row.stage:<18}" + ("" if row.sqnr_db is None else f"{row.sqnr_db:6.1f} dB"))

    for path in sorted(Path(photos).iterdir())[:3]:
        probability, best = artifact(Image.open(path).convert("RGB")).max(0)
        print(f"{path.name}: {artifact.metadata.output.labels[best]} {probability:.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
