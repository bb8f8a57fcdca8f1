"""The API's description (OpenAPI): what FastAPI makes of the operations, and what they have in common."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from turnout.console.api.asked import errors
from turnout.console.problems import Problem

WITH_A_BODY = (400, 413)
SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token with its scopes: `turnout login`, or made on the console's page of tokens.",
    }
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Made once an application; problem documents stand where FastAPI describes errors of its own shape."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        _, ours = models_json_schema(
            [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
        )
        schemas.update(ours["$defs"])
        for path in made["paths"].values():
            for operation in path.values():
                _complete(operation)
        made["components"]["securitySchemes"] = SECURITY
        made["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
    """The errors that every operation can answer with; those that FastAPI describes itself as problem documents."""
    told: dict[str, Any] = operation["responses"]
    for status, said in errors(*(WITH_A_BODY if "requestBody" in operation else ())).items():
        if status == 422 or str(status) not in told:
            told[str(status)] = said
