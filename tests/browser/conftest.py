"""A browser, and a console to look at. A page that logs an error, or breaks its security policy, fails its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from local.console.browsing import WIDE, browser, chromium
from local.console.seed import fill
from local.console.served import Served
from tests.real import require

Open = Callable[..., Page]
"""Playwright's options of a context to a new page in a context of its own."""


@pytest.fixture(scope="package")
def program() -> Iterator[Browser]:
    """Playwright leaves an event loop running in the main thread until this ends; other tests want one of their own."""
    require("Chromium", bool(chromium()), "apt-get install chromium, or make real-parts")
    with browser() as found:
        yield found


@pytest.fixture
def open_page(program: Browser) -> Iterator[Open]:
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def hear(said: str) -> None:
        """Pages that are not there are asked for on purpose; htmx rejects what the browser gives up when it moves on
        with nothing but the event."""
        if "status of 40" not in said and said != "[object Event]":
            wrong.append(said)

    def opened(**options: object) -> Page:
        width, height = WIDE
        context = program.new_context(**{"viewport": {"width": width, "height": height}, **options})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda said: (
                wrong.append(said.text) if said.type == "error" and "status of 40" not in said.text else None
            ),
        )
        return page

    yield opened
    for each in contexts:
        each.close()
    assert not wrong


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A console with two weeks of a team's runs."""
    home = tmp_path_factory.mktemp("console") / "home"
    fill(home, now=datetime.now(UTC))
    with Served(home) as served:
        yield served
