"""GitHub's own description of its REST API, and what is wrong with a request by it.

Source: npm's @octokit/openapi, which `local/setup/github.sh` puts into the cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from local.github.hub import Call

NAME = "urn:github"


class Contract:
    """``file``: ``api.github.com.json``."""

    def __init__(self, file: Path) -> None:
        self._said: dict[str, Any] = json.loads(file.read_text())
        resource: Resource[Any] = Resource.from_contents(self._said, default_specification=DRAFT4)
        self._registry: Registry[Any] = Registry().with_resource(NAME, resource)
        # what names more parts of its path literally comes first: /issues/comments/1 is no /issues/{number}/1
        self._paths = sorted(self._said["paths"], key=lambda path: path.count("{"))

    def problems(self, call: Call) -> Iterator[str]:
        """One line for each thing that GitHub would not take; nothing when all is well."""
        found = next((path for path in self._paths if _fits(path, call.path)), None)
        work = self._said["paths"][found].get(call.method.lower()) if found else None
        if found is None or work is None:
            yield f"{call.method} {call.path}: GitHub has no such thing"
            return
        asked = {
            each["name"]: each
            for each in map(self._resolved, work.get("parameters", ()))
            if each["in"] == "query"
        }
        for name, value in call.query.items():
            if name not in asked:
                yield f"{call.method} {found}: no parameter {name}"
            else:
                yield from self._wrong(
                    asked[name]["schema"], _typed(value, asked[name]["schema"]), f"{found}?{name}"
                )
        body = work.get("requestBody")
        schema = self._resolved(body)["content"]["application/json"]["schema"] if body else None
        if schema is None:
            if call.body:
                yield f"{call.method} {found}: takes no body"
            return
        yield from self._wrong(schema, call.body or {}, f"{call.method} {found}")
        known = self._properties(schema)
        yield from (
            f"{call.method} {found}: {name} is not known"
            for name in call.body or {}
            if known and name not in known
        )

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in part:
            found: Any = self._said
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            part = found
        return part

    def _properties(self, schema: Mapping[str, Any]) -> set[str]:
        schema = self._resolved(schema)
        return set(schema.get("properties", ())).union(
            *(self._properties(each) for way in ("allOf", "anyOf", "oneOf") for each in schema.get(way, ()))
        )

    def _wrong(self, schema: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
        absolute = json.loads(re.sub(r'"\$ref": ?"#', f'"$ref": "{NAME}#', json.dumps(schema)))
        for error in _Validator(absolute, registry=self._registry).iter_errors(value):
            yield f"{where}: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"


def _fits(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path) is not None


def _typed(value: str, schema: Mapping[str, Any]) -> Any:
    """A query holds text alone."""
    return int(value) if schema.get("type") == "integer" and value.isdigit() else value


def _nullable(validator: Any, types: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    """OpenAPI 3.0 says so beside the type."""
    if instance is None and schema.get("nullable"):
        return
    yield from Draft4Validator.VALIDATORS["type"](validator, types, instance, schema) or ()


_Validator: Any = extend(Draft4Validator, {"type": _nullable})  # type: ignore[no-untyped-call]
