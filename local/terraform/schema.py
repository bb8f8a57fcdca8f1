"""The schema of Terraform's provider hashicorp/google, read out of its bindings for JavaScript.

The bindings (PyPI's cdktn-provider-google) are generated from the provider's own schema, a class for each resource and
each nested block. A comment over every property says whether it is computed, optional or required, its getter says the
type, and the writer of HCL whether it is a block. Which values an argument takes, its description says in their types,
where the provider itself was generated, as most of it is.

    python schema.py BINDINGS.tgz FOLDER     a file for each type: FOLDER/resource/google_storage_bucket.json
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Block = dict[str, Any]
"""``attributes``: name to type, flags, and ``values`` where only some are taken; ``blocks``: name to block, nesting,
min and max."""
Values = dict[tuple[str, str], list[str]]
"""Of which interface and argument, to the values that it takes."""

FILE = re.compile(r"package/lib/[^/]+/index\.js")
CLASS = re.compile(r"^class (\w+) extends \w+\.(\w+) \{", re.M)
TYPE_NAME = re.compile(r'static tfResourceType = "(\w+)"')
PROPERTY = re.compile(
    r"^ +// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)$", re.M
)
NESTED = re.compile(r'= new (\w+)\(this, "(\w+)"(?:, (true|false))?\)')
GETTER = re.compile(r"get(\w+?)Attribute\(")
WRITER = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", re.M | re.S)
WRITTEN = re.compile(r'^ +(\w+): \{\n +value: .*?\n +isBlock: (true|false),\n +type: "(\w+)"', re.M)
SUFFIX = re.compile(r"(OutputReference|List|Map)$")

DESCRIBED = re.compile(r"package/lib/[^/]+/index\.d\.ts")
INTERFACE = re.compile(r"^export interface (\w+)[^{]*\{(.*?)^\}", re.M | re.S)
ARGUMENT = re.compile(r"/\*\*((?:(?!\*/).)*?Possible values: (\[[^\]]*\]).*?)\*/", re.S)
ANCHOR = re.compile(r"#(\w+) ")

TYPES: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "string"],
}


@dataclass(frozen=True)
class Bindings:
    """One file: each class with what it extends and its text; of each nested block, how its properties are written."""

    classes: dict[str, tuple[str, str]]
    writers: dict[str, str]
    values: Values

    @classmethod
    def of(cls, text: str, values: Values) -> Bindings:
        pieces = CLASS.split(text)
        classes = dict(zip(pieces[1::3], zip(pieces[2::3], pieces[3::3], strict=True), strict=True))
        return cls(classes, {found[1]: found[2] for found in WRITER.finditer(text)}, values)

    def types(self) -> Iterator[tuple[str, str, Block]]:
        """``resource`` or ``data``, the type's name, and its schema."""
        kinds = {"TerraformResource": "resource", "TerraformDataSource": "data"}
        for name, (extends, text) in self.classes.items():
            if extends in kinds and (found := TYPE_NAME.search(text)):
                yield kinds[extends], found[1], self.block(name)

    def block(self, name: str) -> Block:
        text = self.classes[name][1]
        written = {found[1]: (found[2] == "true", found[3]) for found in WRITTEN.finditer(self._writer(name))}
        nested = {found[2]: (found[1], found[3] == "true") for found in NESTED.finditer(text)}
        attributes: dict[str, Any] = {}
        blocks: dict[str, Any] = {}
        properties = list(PROPERTY.finditer(text))
        ends = [*(each.start() for each in properties), len(text)][1:]
        for found, end in zip(properties, ends, strict=True):
            key = found[1]
            flags = {
                flag: found[2 + i] == "true" for i, flag in enumerate(("computed", "optional", "required"))
            }
            is_block, shape = written.get(key, (False, ""))
            of, is_set = nested.get(key, ("", False))
            is_set = is_set or shape == "set"
            if of not in self.classes:
                attributes[key] = {"type": self._simple(text[found.end() : end], is_set), **flags}
                if taken := self._taken(name, key):
                    attributes[key]["values"] = taken
                continue
            kind = self.classes[of][0]
            item = SUFFIX.sub("", of) + "OutputReference"
            inner = self.block(item if item in self.classes else of)
            if is_block and kind != "ComplexMap" and (flags["optional"] or flags["required"]):
                blocks[key] = {
                    "block": inner,
                    "nesting": "SINGLE" if shape == "struct" else "SET" if is_set else "LIST",
                    "min": int(flags["required"] and shape != "struct"),
                    "max": int(kind != "ComplexList" and shape != "struct"),
                }
            else:
                collection = "set" if is_set else "map" if kind == "ComplexMap" else "list"
                attributes[key] = {"type": [collection, object_type(inner)], **flags}
        return {"attributes": attributes, "blocks": blocks}

    def _taken(self, name: str, key: str) -> list[str]:
        interface = SUFFIX.sub("", name) if self.classes[name][0] == "ComplexObject" else f"{name}Config"
        return self.values.get((interface, key), [])

    def _writer(self, name: str) -> str:
        base = SUFFIX.sub("", name)
        if found := self.writers.get(base[0].lower() + base[1:]):
            return found
        return self.classes[name][1].partition("synthesizeHclAttributes")[2]

    @staticmethod
    def _simple(text: str, is_set: bool) -> Any:
        found = GETTER.search(text)
        kind = TYPES[found[1]] if found else "dynamic"
        if isinstance(kind, list) and kind[0] == "list" and (is_set or "Fn.tolist" in text):
            return ["set", kind[1]]
        return kind


def object_type(block: Block) -> Any:
    fields = {name: each["type"] for name, each in block["attributes"].items()}
    for name, each in block["blocks"].items():
        fields[name] = ["set" if each["nesting"] == "SET" else "list", object_type(each["block"])]
    return ["object", fields]


def extract(bindings: str) -> dict[str, dict[str, Block]]:
    """Raises: ValueError where the bindings are written otherwise than this knows."""
    found: dict[str, dict[str, Block]] = {"resource": {}, "data": {}}
    values = {key: taken for text in read(bindings, DESCRIBED) for key, taken in described(text)}
    for text in read(bindings, FILE):
        for kind, name, block in Bindings.of(text, values).types():
            found[kind][name] = block
    if len(found["resource"]) < 1000:
        raise ValueError(f"only {len(found['resource'])} resources were found in {bindings}")
    if len(values) < 800:
        raise ValueError(f"only of {len(values)} arguments the values were found in {bindings}")
    return found


def read(bindings: str, names: re.Pattern[str]) -> Iterator[str]:
    with tarfile.open(bindings) as archive:
        for member in archive:
            file = archive.extractfile(member) if names.fullmatch(member.name) else None
            if file is not None:
                yield file.read().decode()


def described(text: str) -> Iterator[tuple[tuple[str, str], list[str]]]:
    for name, body in INTERFACE.findall(text):
        for comment, taken in ARGUMENT.findall(body):
            if anchor := ANCHOR.search(comment):
                yield (name, anchor[1]), json.loads(taken)


if __name__ == "__main__":
    for kind, types in extract(sys.argv[1]).items():
        folder = Path(sys.argv[2]) / kind
        folder.mkdir(parents=True)
        for name, block in types.items():
            (folder / f"{name}.json").write_text(json.dumps(block, separators=(",", ":")))
