"""How much smaller an app decodes a photo."""

from __future__ import annotations

import math

from runtime_check.artifact.metadata import ImageInput, Preprocessing

from .tiny import text, tiny_metadata


def downsample(
    width: int, height: int, *, wanted_side: int, bounds: ImageInput
) -> tuple[int, str | None]:
    """Plan how much smaller a photo is decoded: `(sample, refusal)`.

    `sample` is the largest power of two that leaves the short side at least `wanted_side` long, or
    more where the long side would be above `max_side` otherwise. `refusal` is null, `small` when
    the decoded short side, rounded up, is below `min_side`, or `long` when the photo is more than
    `max_aspect` times as long as wide.
    """
    short, long = min(width, height), max(width, height)
    if long > bounds.max_aspect * short:
        return 1, "long"
    sample = 1
    while short // (2 * sample) >= wanted_side:
        sample *= 2
    while -(-long // sample) > bounds.max_side:
        sample *= 2
    return sample, "small" if -(-short // sample) < bounds.min_side else None


def wanted_side(preprocessing: Preprocessing | None) -> int | None:
    """Return the short side, pixels, a photo should still have after decoding; None: all of it.

    Twice what the in-graph resize makes of the short side, ceil(side / crop_pct) of the larger
    side of the network's input: the resize then averages at least two pixels into one, as it does
    on the full photo.
    """
    if preprocessing is None:
        return None
    return 2 * math.ceil(max(preprocessing.input_size[1:]) / preprocessing.crop_pct)


def downsample_vectors() -> dict[str, str]:
    """Photos, what the metadata says, and how much smaller the app decodes them.

    `wanted_side` = 2 x ceil(max(input_size[1:]) / crop_pct), or null where there is no
    preprocessing (then `sample` stays 1 unless the long side is above `max_side`). `sample` is the
    power of two both sides are divided by (Android's inSampleSize, iOS's subsample factor); a
    decoder may round a side up or down by one pixel. `refusal`: null, or why the photo cannot be
    taken: `small` (short side below `min_side` after decoding), `long` (aspect above `max_aspect`).
    """
    base, tiny = tiny_metadata().preprocessing, tiny_metadata().input
    assert base is not None
    assert isinstance(tiny, ImageInput)
    real = tiny.model_copy(update={"min_side": 8, "max_side": 8192, "max_aspect": 32})
    at_224 = base.model_copy(update={"input_size": (3, 224, 224)})
    odd = base.model_copy(update={"input_size": (3, 160, 192), "crop_pct": 0.9})
    vectors = []
    photos = [
        (4032, 3024), (3024, 4032), (8064, 6048), (1920, 1080), (1024, 768), (1023, 511),
        (512, 512), (511, 511), (640, 480), (224, 224), (9, 8), (7, 9), (8, 256), (8, 257),
        (16384, 512), (20000, 1000), (9000, 8999), (1, 1), (64, 8), (65, 9), (63, 2), (128, 16),
    ]  # fmt: skip
    for preprocessing, bounds in ((at_224, real), (odd, real), (base, tiny), (None, real)):
        for width, height in photos:
            wanted = wanted_side(preprocessing)
            sample, refusal = downsample(width, height, wanted_side=wanted or 2**31, bounds=bounds)
            vectors.append(
                {
                    "width": width,
                    "height": height,
                    "input_size": None if preprocessing is None else preprocessing.input_size,
                    "crop_pct": None if preprocessing is None else preprocessing.crop_pct,
                    "min_side": bounds.min_side,
                    "max_side": bounds.max_side,
                    "max_aspect": bounds.max_aspect,
                    "wanted_side": wanted,
                    "sample": sample,
                    "refusal": refusal,
                }
            )
    return {"downsample.json": text({"about": downsample_vectors.__doc__, "vectors": vectors})}
