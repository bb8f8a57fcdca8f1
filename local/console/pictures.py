"""Takes the pictures of the console in docs/img: each page, light and dark, wide and on a phone.

make pictures
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from local.console.browsing import PHONE, WIDE, browser
from local.console.places import places
from local.console.seed import fill
from local.console.served import Served

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "img"
SHAPES = {"": WIDE, "-phone": PHONE}
SCHEMES = {"": "light", "-dark": "dark"}
COLOURS = 128
TALLEST = 1500
"""Pixels: what lies below is more of the same."""


def take(home: Path, into: Path) -> list[Path]:
    """The files that were written."""
    fill(home, now=datetime.now(UTC))
    written: list[Path] = []
    with Served(home) as served, browser() as chromium:
        found = places(served.wiring.store)
        for shape, size in SHAPES.items():
            for scheme, colours in SCHEMES.items():
                for name, path in found.items():
                    file = into / f"console-{name}{shape}{scheme}.png"
                    _shoot(chromium, served, path, size, colours, file)
                    written.append(file)
    return written


def _shoot(
    chromium: Browser, served: Served, path: str, size: tuple[int, int], colours: str, file: Path
) -> None:
    width, height = size
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if colours == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        page = context.new_page()
        if path != "/sign-in":
            page.goto(served.sign_in(), wait_until="domcontentloaded")
        page.goto(served.url + path, wait_until="load")
        page.evaluate("document.fonts.ready")
        tall = min(TALLEST, max(height, page.evaluate("document.documentElement.scrollHeight")))
        page.set_viewport_size({"width": width, "height": tall})
        Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS).save(file, optimize=True)
    finally:
        context.close()


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="turnout-pictures-") as home:
        for file in take(Path(home) / "home", IMAGES):
            sys.stdout.write(f"{file.relative_to(IMAGES.parents[1])}\n")


if __name__ == "__main__":
    main()
