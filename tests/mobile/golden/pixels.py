"""Pixels and orientations: what an app must hand to the model."""

from __future__ import annotations

import base64
import random

import numpy as np
from PIL import Image, ImageOps

from .tiny import image_of, text


def pixel_vectors() -> dict[str, str]:
    """Rows of pixels as a camera or a decoder hands them out, and the uint8 HWC image for a model.

    `bytes` (base64) holds `height` rows that begin `row_stride` bytes apart; the last row may end
    after its last pixel. `order` names the bytes of one pixel in memory. `rgb`: alpha (A) or
    padding (X) is skipped, not blended. `rgba`: with the photo's alpha, 255 where it has none.
    `l`: one byte a pixel, Pillow's convert("L"): (19595 R + 38470 G + 7471 B + 32768) >> 16.
    """
    vectors = []
    values = random.Random(4)
    for order in ("RGBA", "BGRA", "ARGB", "ABGR", "RGBX", "BGRX"):
        for height, width, padding, cut in (
            (1, 1, 0, 0),
            (2, 3, 0, 0),
            (3, 2, 5, 5),
            (4, 5, 12, 0),
        ):
            image = image_of(height, width, values.randrange(1000))
            planes = {
                "R": image[..., 0],
                "G": image[..., 1],
                "B": image[..., 2],
                "A": image_of(height, width, values.randrange(1000))[..., 0],
                "X": np.full((height, width), 0xEE, np.uint8),
            }
            stride = 4 * width + padding
            rows = np.full((height, stride), 0xDD, np.uint8)
            packed = np.stack([planes[letter] for letter in order], axis=-1)
            rows[:, : 4 * width] = packed.reshape(height, -1)
            raw = rows.tobytes()
            picture = Image.fromarray(image)
            gray = picture.convert("L")
            if "A" in order:
                picture.putalpha(Image.fromarray(planes["A"]))
            rgba = picture.convert("RGBA")
            vectors.append(
                {
                    "order": order,
                    "width": width,
                    "height": height,
                    "row_stride": stride,
                    "bytes": base64.b64encode(raw[: len(raw) - cut]).decode(),
                    "rgb": base64.b64encode(image.tobytes()).decode(),
                    "rgba": base64.b64encode(rgba.tobytes()).decode(),
                    "l": base64.b64encode(gray.tobytes()).decode(),
                }
            )
    return {"pixels.json": text({"about": pixel_vectors.__doc__, "vectors": vectors})}


def orientation_vectors() -> dict[str, str]:
    """A stored uint8 RGB HWC image, its EXIF orientation (1 to 8), and the upright image.

    The upright image is Pillow's `ImageOps.exif_transpose`. `upright` has `height` and `width` of
    its own: orientations 5 to 8 swap the sides.
    """
    vectors = []
    for height, width in ((2, 3), (3, 2), (1, 4), (5, 5)):
        image = image_of(height, width, 10 * height + width)
        for orientation in range(1, 9):
            picture = Image.fromarray(image)
            picture.getexif()[0x0112] = orientation
            upright = np.asarray(ImageOps.exif_transpose(picture))
            vectors.append(
                {
                    "orientation": orientation,
                    "height": height,
                    "width": width,
                    "rgb": base64.b64encode(image.tobytes()).decode(),
                    "upright": {
                        "height": upright.shape[0],
                        "width": upright.shape[1],
                        "rgb": base64.b64encode(upright.tobytes()).decode(),
                    },
                }
            )
    return {"orientations.json": text({"about": orientation_vectors.__doc__, "vectors": vectors})}
