"""A stage's ``with:``, read once into a frozen model; every mistake in it is named where it stands."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ValidationError

from agents.sdk.workspace import AgentError
from turnout.core.model import Value

Options = TypeVar("Options", bound=Value)


def read_options(model: type[Options], given: Mapping[str, Any]) -> Options:
    """Raises: AgentError with all that is wrong, each as ``with.<name>: …`` and the nearest valid name."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        problems = [
            _problem(model, detail) for detail in error.errors(include_url=False, include_context=False)
        ]
    raise AgentError("; ".join(problems), f"valid options: {', '.join(_names(model))}")


def _names(model: type[Value]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _problem(model: type[Value], detail: Any) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])
    if detail["type"] != "extra_forbidden":
        return f"with{path}: {_said(detail)}, got {str(detail['input'])[:80]!r}"
    near = (
        difflib.get_close_matches(str(detail["loc"][-1]), _names(model), n=1)
        if len(detail["loc"]) == 1
        else []
    )
    return f"with{path}: there is no such option" + (f"; did you mean {near[0]!r}?" if near else "")


def _said(detail: Any) -> str:
    if detail["type"] == "tuple_type":
        return "expected a string or a list of strings"
    return str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _quoted(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError("put the version in quotes (YAML reads 3.10 as the number 3.1)")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\0" in value:
        raise ValueError("must be a path inside the repository, relative to its root")
    return str(path)


Words = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""A list of strings; a single string stands for a list of one."""

Version = Annotated[str, BeforeValidator(_quoted)]
"""A version as people write it: ``"3.12"``, ``"20"`` or ``20``; a YAML float is refused, since it loses zeros."""

Inside = Annotated[str, AfterValidator(_inside)]
"""A path that stays in the repository, with forward slashes."""

InsidePaths = Annotated[tuple[Inside, ...], BeforeValidator(_listed)]
