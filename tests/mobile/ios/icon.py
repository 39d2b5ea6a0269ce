"""Draw the icon of the iOS app: a viewfinder with a check mark, on a gradient from teal to indigo.

python -m tests.mobile.ios.icon
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 1024
SMOOTH = 2  # drawn so many times larger, then averaged
TOP, BOTTOM = (38, 166, 154), (49, 27, 146)
FILE = (
    Path(__file__).resolve().parents[3] / "ios_demo/App/Assets.xcassets/AppIcon.appiconset/icon.png"
)


def icon() -> Image.Image:
    """The icon, 1024 x 1024, opaque and without rounded corners: the system cuts those."""
    side = SIDE * SMOOTH
    rows, columns = np.mgrid[0:side, 0:side]
    share = ((rows + columns) / (2 * (side - 1)))[..., None]
    colors = np.array(TOP) * (1 - share) + np.array(BOTTOM) * share
    image = Image.fromarray(colors.round().astype(np.uint8), "RGB")
    draw = ImageDraw.Draw(image)
    unit = side / 32

    def line(points: list[tuple[float, float]], width: float) -> None:
        places = [(x * unit, y * unit) for x, y in points]
        half = width * unit / 2
        draw.line(places, fill="white", width=round(width * unit), joint="curve")
        for x, y in places:
            draw.ellipse((x - half, y - half, x + half, y + half), fill="white")

    for x, y, right, down in ((7, 7, 1, 1), (25, 7, -1, 1), (7, 25, 1, -1), (25, 25, -1, -1)):
        line([(x + 5 * right, y), (x, y), (x, y + 5 * down)], 1.5)
    line([(11.2, 16.4), (14.7, 19.9), (21.2, 12.6)], 2.4)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    icon().save(FILE, optimize=True)
