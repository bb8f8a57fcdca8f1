"""A file of a repository as text, or why it is none."""

from __future__ import annotations

from turnout.core.errors import PermanentError

MAX_TEXT = 1_000_000  # bytes


def check_size(path: str, size: int) -> None:
    """Raises: PermanentError."""
    if size > MAX_TEXT:
        raise PermanentError(f"{path} has {size} bytes, at most {MAX_TEXT} are read")


def text_of(path: str, content: bytes) -> str:
    """Raises: PermanentError."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PermanentError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
