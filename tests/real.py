"""Real outside parts: a test that needs one skips without it, or fails where they are required."""

from __future__ import annotations

import os

import pytest

REQUIRED = "TURNOUT_REQUIRE_REAL"


def require(part: str, found: bool, how: str) -> None:
    """Go on when ``part`` was found. ``how`` says what installs it.

    Otherwise the test is skipped; with TURNOUT_REQUIRE_REAL=1, as in CI, it fails.
    """
    if found:
        return
    reason = f"needs {part}, which is not here: {how}"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
