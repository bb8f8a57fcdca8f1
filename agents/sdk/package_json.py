"""What package.json says, read with care: any field may be missing or of another type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.sdk.inside import read_inside
from agents.sdk.workspace import AgentError


@dataclass(frozen=True, slots=True)
class PackageJson:
    """``wants``: the names of all dependencies, also those for development only."""

    path: Path
    scripts: Mapping[str, str] = field(default_factory=dict)
    wants: frozenset[str] = frozenset()
    manager: str = ""
    content: Mapping[str, Any] = field(default_factory=dict)

    def has(self, key: str) -> bool:
        return key in self.content


def read_package_json(root: Path) -> PackageJson | None:
    """None: there is none. Raises: AgentError when it is not a JSON object."""
    path = root / "package.json"
    text = read_inside(root, "package.json")
    if text is None:
        return None
    try:
        content = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise AgentError(f"package.json cannot be read: {error}", "correct it and push again") from error
    if not isinstance(content, dict):
        raise AgentError("package.json is no JSON object", "correct it and push again")
    wants = [
        name
        for kind in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
        for name in _mapping(content.get(kind))
    ]
    scripts = {name: text for name, text in _mapping(content.get("scripts")).items() if isinstance(text, str)}
    manager = content.get("packageManager")
    return PackageJson(path, scripts, frozenset(wants), manager if isinstance(manager, str) else "", content)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
