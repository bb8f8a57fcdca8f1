"""Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

WIDE = (1280, 900)
PHONE = (375, 812)
"""Width and height in CSS pixels."""


def chromium() -> str:
    """The program; empty: there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""


@contextmanager
def browser() -> Iterator[Browser]:
    """Raises: FileNotFoundError where there is no Chromium."""
    program = chromium()
    if not program:
        raise FileNotFoundError("there is no Chromium: apt-get install chromium, or make real-parts")
    rights = ["--no-sandbox"] if os.geteuid() == 0 else []  # its own sandbox refuses root
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=[*rights, "--disable-dev-shm-usage"])
        try:
            yield found
        finally:
            found.close()
