"""Every colour pair of the style sheet can be read: WCAG 2.2, 1.4.3 (text, 4.5) and 1.4.11 (what is no text, 3)."""

from __future__ import annotations

import hashlib
import re

import pytest

from turnout.console.pages.rendering import STATIC
from turnout.reporting.view import Light

STYLE = (STATIC / "style.css").read_text()
COLOURS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", STYLE)
}
TONES = ("success", "failure", "error", "running", "waiting", "retrying", "idle")
TEXT = [
    *((text, ground) for text in ("text", "muted", "link") for ground in ("bg", "panel", "raised")),
    *((tone, ground) for tone in TONES for ground in ("panel", "bg", "raised", f"{tone}-soft")),
    *(("text", f"{tone}-soft") for tone in TONES),
    *(("muted", f"{tone}-soft") for tone in TONES),
    *((f"ansi{number}", ground) for number in range(8) for ground in ("log", "idle-soft", "mark")),
    *((text, ground) for text in ("log-text", "log-number") for ground in ("log", "idle-soft", "mark")),
    ("on-accent", "accent"),
    ("link", "waiting-soft"),
]
SHAPES = [("edge", ground) for ground in ("panel", "bg", "raised")] + [("accent", "panel"), ("accent", "bg")]


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read_on_its_ground(theme: int) -> None:
    weak = {
        f"{text} on {ground}": round(contrast(COLOURS[text][theme], COLOURS[ground][theme]), 2)
        for text, ground in TEXT
        if contrast(COLOURS[text][theme], COLOURS[ground][theme]) < 4.5
    }
    assert weak == {}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_control_stands_out_from_its_ground(theme: int) -> None:
    assert all(contrast(COLOURS[one][theme], COLOURS[other][theme]) >= 3 for one, other in SHAPES)


def test_colours_stand_in_the_variables_alone() -> None:
    rules = STYLE[STYLE.index("*, *::before") :]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![\w-]*\s*[{.,:>~+\[])", rules) == []


def test_every_light_has_a_tone_and_a_shape_of_its_own() -> None:
    icons = (STATIC / "icons.svg").read_text()
    shapes = {light: re.search(rf'<symbol id="{light.value}"[^>]*>(.*?)</symbol>', icons) for light in Light}
    assert all(shapes.values())
    assert len({shape.group(1) for shape in shapes.values() if shape}) == len(Light)
    for light in Light:
        assert f".is-{light.value}" in STYLE


def test_what_is_vendored_is_what_was_fetched() -> None:
    folder = STATIC / "vendor"
    sums = re.findall(r"^([0-9a-f]{64})  \./(.+)$", (folder / "VENDORED").read_text(), re.MULTILINE)
    said = {name: digest for digest, name in sums}
    assert said == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.js")}
    for name in said:
        assert (folder / name.replace(".min.js", ".LICENSE")).read_text()
