"""A stand-in for Terraform's provider hashicorp/google: its schema, and no Google behind it.

What a plan makes of a resource is what was asked for, with every computed value unknown, as with the real provider
before it has made anything. What it refuses beyond its schema, `refused.py` says. Not known here: what the provider
fills in. Started by Terraform, in the environment that local/setup/terraform.sh makes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-not-found,import-untyped,unused-ignore]
import refused  # type: ignore[import-not-found,unused-ignore]
import tf.provider  # type: ignore[import-not-found,unused-ignore]
import tf.runner  # type: ignore[import-not-found,unused-ignore]
from tf.gen import tfplugin_pb2 as pb  # type: ignore[import-not-found,unused-ignore]
from tf.gen import tfplugin_pb2_grpc as rpc  # type: ignore[import-not-found,unused-ignore]

ONLY = frozenset(filter(None, os.environ.get("TURNOUT_GOOGLE_TYPES", "").split(",")))
"""The types to serve; none: all 1,800, which Terraform takes two seconds to read, each time that it asks."""


def served(kind: str) -> dict[str, Any]:
    files = (Path(__file__).parent / "schema" / kind).glob("*.json")
    return {each.stem: json.loads(each.read_text()) for each in files if not ONLY or each.stem in ONLY}


SCHEMA = {kind: served(kind) for kind in ("resource", "data")}
OPTIONAL = {"type": "string", "required": False, "optional": True, "computed": False}
CONFIGURATION = {
    "attributes": dict.fromkeys(("project", "region", "zone", "billing_project"), OPTIONAL)
    | {
        "user_project_override": OPTIONAL | {"type": "bool"},
        "default_labels": OPTIONAL | {"type": ["map", "string"]},
    },
    "blocks": {},
}
UNKNOWN = msgpack.ExtType(0, b"\x00")
"""Source: Terraform's docs/plugin-protocol/object-wire-format.md"""


def schema_of(block: dict[str, Any]) -> Any:
    return pb.Schema(version=0, block=block_of(block))


def block_of(block: dict[str, Any]) -> Any:
    return pb.Schema.Block(
        attributes=[
            pb.Schema.Attribute(
                name=name,
                type=json.dumps(each["type"]).encode(),
                **{flag: each[flag] for flag in ("required", "optional", "computed")},
            )
            for name, each in block["attributes"].items()
        ],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=block_of(each["block"]),
                nesting=getattr(pb.Schema.NestedBlock, each["nesting"]),
                min_items=each["min"],
                max_items=each["max"],
            )
            for name, each in block["blocks"].items()
        ],
    )


def planned(block: dict[str, Any], value: Any) -> Any:
    """The value with what is computed, and was not given, unknown."""
    if not isinstance(value, dict):
        return value
    made = dict(value)
    for name, each in block["attributes"].items():
        if each["computed"] and value.get(name) is None:
            made[name] = UNKNOWN
    for name, each in block["blocks"].items():
        inner = value.get(name)
        if isinstance(inner, list):
            made[name] = [planned(each["block"], item) for item in inner]
        elif each["nesting"] == "SINGLE":
            made[name] = planned(each["block"], inner)
    return made


def diagnostic(path: tuple[str | int, ...], says: str) -> Any:
    step = pb.AttributePath.Step
    steps = [
        step(attribute_name=each) if isinstance(each, str) else step(element_key_int=each) for each in path
    ]
    return pb.Diagnostic(
        severity=pb.Diagnostic.ERROR, summary=says, attribute=pb.AttributePath(steps=steps) if steps else None
    )


class Google(rpc.ProviderServicer):  # type: ignore[misc,unused-ignore]
    def __init__(self, _app: object) -> None: ...

    def GetMetadata(self, _request: Any, _context: Any) -> Any:
        return pb.GetMetadata.Response(
            server_capabilities=pb.ServerCapabilities(get_provider_schema_optional=False),
            resources=[pb.GetMetadata.ResourceMetadata(type_name=name) for name in SCHEMA["resource"]],
            data_sources=[pb.GetMetadata.DataSourceMetadata(type_name=name) for name in SCHEMA["data"]],
        )

    def GetProviderSchema(self, _request: Any, _context: Any) -> Any:
        return pb.GetProviderSchema.Response(
            provider=schema_of(CONFIGURATION),
            resource_schemas={name: schema_of(each) for name, each in SCHEMA["resource"].items()},
            data_source_schemas={name: schema_of(each) for name, each in SCHEMA["data"].items()},
        )

    def PlanResourceChange(self, request: Any, _context: Any) -> Any:
        wanted = msgpack.unpackb(request.proposed_new_state.msgpack)
        made = planned(SCHEMA["resource"][request.type_name], wanted)
        return pb.PlanResourceChange.Response(planned_state=pb.DynamicValue(msgpack=msgpack.packb(made)))

    def ReadResource(self, request: Any, _context: Any) -> Any:
        return pb.ReadResource.Response(new_state=request.current_state)

    def ReadDataSource(self, request: Any, _context: Any) -> Any:
        return pb.ReadDataSource.Response(state=request.config)

    def UpgradeResourceState(self, request: Any, _context: Any) -> Any:
        return pb.UpgradeResourceState.Response(upgraded_state=pb.DynamicValue(json=request.raw_state.json))

    def ValidateProviderConfig(self, _request: Any, _context: Any) -> Any:
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, _context: Any) -> Any:
        given = msgpack.unpackb(request.config.msgpack)
        found = refused.refused(request.type_name, SCHEMA["resource"][request.type_name], given)
        return pb.ValidateResourceConfig.Response(diagnostics=[diagnostic(*each) for each in found])

    def ValidateDataResourceConfig(self, _request: Any, _context: Any) -> Any:
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, _request: Any, _context: Any) -> Any:
        return pb.ConfigureProvider.Response()

    def GetFunctions(self, _request: Any, _context: Any) -> Any:
        return pb.GetFunctions.Response()

    def StopProvider(self, _request: Any, _context: Any) -> Any:
        return pb.StopProvider.Response()


class Named:
    def full_name(self) -> str:
        return "registry.terraform.io/hashicorp/google"


if __name__ == "__main__":
    tf.provider.ProviderServicer = Google  # its own is made for providers that are written with that package
    tf.runner.run_provider(Named(), sys.argv)
