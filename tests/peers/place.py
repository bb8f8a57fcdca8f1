"""Where the systems that Turnout is compared with are installed."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from turnout.core.errors import PermanentError

SETUP = Path(__file__).with_name("setup.sh")
INSTALL = "make real-parts installs it"


@functools.cache
def _place() -> Path:
    said = subprocess.run([SETUP, "--where"], check=True, capture_output=True, text=True).stdout
    return Path(said.strip())


def available() -> bool:
    """Whether they are here, all of them, in the pinned versions."""
    return (_place() / ".ready").exists()


def programs() -> Path:
    """The folder of their commands and of their Python. Raises: PermanentError when they are not installed."""
    if not available():
        raise PermanentError("the systems to compare with are not installed", INSTALL)
    return _place() / "bin"
