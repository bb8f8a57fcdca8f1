"""Which files of a checkout a pattern means, never one outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agents.sdk.workspace import AgentError

MOST = 200


def matching(root: Path, folder: str, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Paths from the root of the checkout, sorted, and the patterns that meant nothing. A folder means all in it.

    ``folder``: where the patterns begin. Links are passed over: what they point to may be anywhere.
    Raises: AgentError when there are more than `MOST`.
    """
    base = root / folder
    found: set[str] = set()
    empty: list[str] = []
    for pattern in patterns:
        before = len(found)
        matches = [base] if pattern == "." else list(base.glob(pattern))
        for match in matches:
            inside = match.rglob("*") if match.is_dir() and not match.is_symlink() else [match]
            found |= {path.relative_to(root).as_posix() for path in inside if _regular(root, path)}
        if len(found) == before and not any(match.exists() for match in matches):
            empty.append(pattern)
    if len(found) > MOST:
        raise AgentError(
            f"artifacts: {len(found)} files match, at most {MOST} are kept", "pack them into one archive"
        )
    return sorted(found), empty


def _regular(root: Path, path: Path) -> bool:
    """A file, reached without a single link below the root."""
    parts = path.relative_to(root).parts
    steps = [root.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    return not any(step.is_symlink() for step in steps) and path.is_file()
