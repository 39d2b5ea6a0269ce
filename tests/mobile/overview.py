"""Make the picture at the top of the README: a report, and the Android app on the same file.

    python tests/mobile/android/tools/ui_tests.py build/app --models build/NAME.ptl --photo PHOTO
    python -m tests.mobile.overview build/NAME.report.html build/app/real.png .github/overview.png

Needs Chromium. The first command runs the app on Android's own library and takes its picture.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

# Of the whole picture, the report's part of it, and the phone's screen.
WIDTH, HEIGHT = 1400, 1082
REPORT_WIDTH = 840
# The page is laid out this wide, and then scaled.
PAGE_WIDTH = 1000
SCREEN = (894, 72, 1346, 1010)  # left, top, right, bottom
BEZEL, CORNER = 13, 30
GROUND, LINE, CASE = (236, 240, 243), (206, 212, 218), (28, 31, 35)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def screenshot(page: Path, target: Path) -> None:
    """Let Chromium draw the top of a page into a PNG."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"None of {', '.join(BROWSERS)} is installed.")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--window-size={PAGE_WIDTH},{HEIGHT * PAGE_WIDTH // REPORT_WIDTH}",
        f"--screenshot={target}", page.resolve().as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def in_a_phone(picture: Image.Image, screen: Image.Image) -> None:
    """Draw a phone whose screen shows the top of `screen`."""
    left, top, right, bottom = SCREEN
    draw = ImageDraw.Draw(picture)
    case = (left - BEZEL, top - BEZEL, right + BEZEL, bottom + BEZEL)
    draw.rounded_rectangle(case, CORNER + BEZEL, fill=CASE)
    width, height = right - left, bottom - top
    tall = round(screen.height * width / screen.width)
    shown = screen.convert("RGB").resize((width, tall), Image.Resampling.LANCZOS)
    corners = Image.new("L", (width, height), 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, width - 1, height - 1), CORNER, fill=255)
    # Outside of a picture that is too short its own ground goes on.
    page = Image.new("RGB", (width, height), shown.getpixel((2, tall - 2)))
    page.paste(shown, (0, 0))
    picture.paste(page, (left, top), corners)


def main() -> None:
    """Read both pictures and write the one beside the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, what in (("report", "a .report.html"), ("screen", "the app's"), ("out", "a PNG")):
        parser.add_argument(name, type=Path, help=what)
    options = parser.parse_args()
    picture = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.png"
        screenshot(options.report, page)
        report = Image.open(page).convert("RGB")
        picture.paste(report.resize((REPORT_WIDTH, HEIGHT), Image.Resampling.LANCZOS), (0, 0))
    ImageDraw.Draw(picture).line((REPORT_WIDTH, 0, REPORT_WIDTH, HEIGHT), fill=LINE)
    in_a_phone(picture, Image.open(options.screen))
    picture.save(options.out, optimize=True)


if __name__ == "__main__":
    main()
