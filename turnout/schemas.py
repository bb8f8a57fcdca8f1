"""Makes the JSON schemas of the configuration files, for editors: ``python -m turnout.schemas [--check]``.

They are made from the models, so they cannot say other than the parser what a key is called and what it holds; rules
between keys (needs, cycles, secrets) are the parser's alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from turnout.core.config_pipeline import PipelineFile
from turnout.core.config_project import ProjectFile
from turnout.core.durations import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

FOLDER = Path(__file__).resolve().parent.parent / "pipelines"
SCHEMAS: Mapping[str, tuple[type[BaseModel], str]] = {
    "pipeline.schema.json": (PipelineFile, "Turnout pipeline"),
    "project.schema.json": (ProjectFile, "Turnout project"),
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
LEFT_ALONE = "^x-"
"""Top-level keys that nobody reads: a place for anchors."""


class _Generator(GenerateJsonSchema):
    """pydantic's, but for what the files don't have: an empty value is never as good as an absent key."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Defaults as they are written in a file; none where the default is the key's absence."""
        made = super().default_schema(schema)
        default = made.get("default")
        if default is None or isinstance(schema.get("default"), BaseModel):
            made.pop("default", None)
        elif made.get("pattern") == DURATION_PATTERN:
            made["default"] = format_duration(default)
        elif made.get("pattern") == SIZE_PATTERN:
            made["default"] = format_size(default)
        return made


def schema_text(name: str) -> str:
    """The content of the schema file ``name``."""
    model, title = SCHEMAS[name]
    made: dict[str, Any] = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    made = (
        {"$schema": DIALECT, "title": title}
        | made
        | {"title": title, "patternProperties": {LEFT_ALONE: True}}
    )
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def stale(folder: Path = FOLDER) -> tuple[str, ...]:
    """The schema files that are missing or not what the models say now."""
    return tuple(
        name
        for name in SCHEMAS
        if not (folder / name).is_file() or (folder / name).read_text() != schema_text(name)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m turnout.schemas", description="Write the JSON schemas.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 when a file is not current"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they are")
    given = parser.parse_args(arguments)
    names = stale(given.folder)
    if given.check:
        for name in names:
            print(f"{given.folder / name} is not current: run `make docs`", file=sys.stderr)
        return 1 if names else 0
    for name in names:
        given.folder.mkdir(parents=True, exist_ok=True)
        (given.folder / name).write_text(schema_text(name))
        print(f"wrote {given.folder / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
