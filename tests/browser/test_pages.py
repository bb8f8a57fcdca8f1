"""Every page, in a real browser: it keeps nobody out, and it fits."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from local.console.browsing import PHONE, WIDE
from local.console.places import places
from local.console.served import Served
from tests.browser.conftest import Open
from tests.waiting import wait_until

pytestmark = pytest.mark.real
SERIOUS = frozenset({"serious", "critical"})
SHAPES = {"wide": WIDE, "phone": PHONE}


def visit(page: Page, served: Served, path: str) -> None:
    page.goto(served.sign_in())
    page.goto(served.url + path)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_page_has_a_serious_violation_and_none_is_wider_than_the_screen(
    shape: str, colours: str, seeded: Served, open_page: Open
) -> None:
    width, height = SHAPES[shape]
    page = open_page(
        viewport={"width": width, "height": height}, color_scheme=colours, reduced_motion="reduce"
    )
    found: list[str] = []
    page.goto(f"{seeded.url}/sign-in")
    for name, path in {"sign-in": "", **places(seeded.wiring.store)}.items():
        if name == "runs":
            page.goto(seeded.sign_in())
        if path:
            page.goto(seeded.url + path)
        for each in Axe().run(page).response["violations"]:
            if each["impact"] in SERIOUS:
                where = "; ".join(str(node["target"]) for node in each["nodes"][:3])
                found.append(f"{name}: {each['id']}: {each['help']}: {where}")
        broad = page.evaluate("document.documentElement.scrollWidth")
        if broad > width:
            found.append(f"{name}: {broad} pixels wide on {width}")
    assert not found, "\n".join(found)


def test_the_colours_are_a_persons_choice_and_stay(seeded: Served, open_page: Open) -> None:
    page = open_page(color_scheme="light")
    visit(page, seeded, "/runs")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.locator("[data-theme-switch]").click()
    dark = wait_until(lambda: colour if (colour := page.evaluate(background)) != light else "")
    page.goto(f"{seeded.url}/projects")
    assert page.evaluate(background) == dark


def test_everything_can_be_reached_by_keyboard(seeded: Served, open_page: Open) -> None:
    page = open_page()
    visit(page, seeded, "/runs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("?")
    assert page.locator("dialog#keys").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/projects")
