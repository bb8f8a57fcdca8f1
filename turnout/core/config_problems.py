"""Says what pydantic found in words of the configuration file, at the place in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from turnout.core.config_types import nearest
from turnout.core.document import Document, Path, Scalar, render_path
from turnout.core.errors import Problem

LONGEST_QUOTE = 60
MAX_PROBLEMS = 100
UNQUOTED = frozenset({("project", "secrets"), ("project", "environments"), ("project", "clone_url")})
"""Below these paths a message never repeats a value: somebody may have put a secret there."""


def problem(document: Document, path: Path, message: str, hint: str = "", *, key: bool = False) -> Problem:
    """``key``: the place is that of the last key in ``path``, not of its value."""
    place = document.place_of_key(path) if key else document.place(path)
    return Problem(document.file, place.line, place.column, render_path(path), message, hint)


def describe(value: object) -> str:
    """What a value is, for the ``got`` of a message."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"`{quote(value)}`"
        case Mapping():
            return "a mapping" if value else "an empty mapping"
        case _:
            return "a list" if value else "an empty list"


def quote(text: str) -> str:
    """A text on one line, cut where it's long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + "…"


def translate(
    error: ValidationError, document: Document, model: type[BaseModel], tags: frozenset[str]
) -> Iterator[Problem]:
    """One problem for each thing that the validation of ``model`` found.

    ``tags`` are the steps of pydantic's locations that name a union's branch. What is empty in the file is left to
    `nulls`, which says it better.
    """
    for each in error.errors(include_url=False)[:MAX_PROBLEMS]:
        path = tuple(step for step in each["loc"] if step not in tags)
        if each["type"] == "missing":
            parent = document.existing(path[:-1])
            place = document.place(parent)
            yield Problem(
                document.file, place.line, place.column, render_path(parent), f"key `{path[-1]}` is missing"
            )
        elif each["type"] == "extra_forbidden":
            yield _unknown_key(document, path, known_keys(model, path[:-1]))
        elif each["input"] is not None or not document.existing(path):
            bad_key = path[-1:] == ("[key]",)
            where = document.existing(path[:-1] if bad_key else path)
            message, hint = _say(dict(each), document, where, bad_key=bad_key)
            yield problem(document, where, message, hint, key=bad_key)


def _unknown_key(document: Document, path: Path, known: tuple[str, ...]) -> Problem:
    key, where = str(path[-1]), document.existing(path)
    hint = nearest(key, known) or (f"known are {', '.join(known)}" if known else "no key is known here")
    return problem(document, where, f"unknown key `{quote(key)}`", hint, key=True)


def _say(each: dict[str, Any], document: Document, where: Path, *, bad_key: bool) -> tuple[str, str]:
    node = document.node(where)
    got = each["input"]
    if where[:2] in UNQUOTED and isinstance(got, str) and not bad_key:
        got_text = "text"
    elif (
        isinstance(node, Scalar)
        and not bad_key
        and not isinstance(got, str)
        and not isinstance(node.value, str)
    ):
        got_text = f"`{quote(node.text)}`"
    else:
        got_text = describe(got)
    context: dict[str, Any] = each.get("ctx", {})
    kind = each["type"]
    if kind == "value_error":
        cause = context["error"]
        joint = "," if str(cause).startswith("expected") else ":"
        return f"got {got_text}{joint} {cause}", getattr(cause, "hint", "")
    expected, hint = _expected(kind, context, got)
    return (f"got {got_text}, expected {expected}" if expected else f"got {got_text}: {each['msg']}"), hint


def _expected(kind: str, context: Mapping[str, Any], got: object) -> tuple[str, str]:
    match kind:
        case "string_type":
            scalar = isinstance(got, (bool, int, float))
            return "text", f'put it in quotes: "{describe(got).split()[-1].strip("`")}"' if scalar else ""
        case "int_type" | "int_from_float" | "int_parsing":
            return "a whole number", ""
        case "float_type" | "float_parsing":
            return "a number", ""
        case "bool_type" | "bool_parsing":
            return "true or false", _meant_flag(got)
        case "model_type" if context.get("class_name") == "StageConfig":
            return "a stage", "a stage is a word or a mapping, and a nested list holds nothing else"
        case "model_type" | "dict_type" | "model_attributes_type" | "mapping_type":
            return "a mapping", ""
        case "tuple_type" | "list_type":
            return "a list", ""
        case "enum" | "literal_error":
            names = re.findall(r"'([^']*)'", context["expected"])
            return f"one of {', '.join(names)}", nearest(got, names) if isinstance(got, str) else ""
        case "greater_than_equal":
            return f"at least {context['ge']}", ""
        case "less_than_equal":
            return f"at most {context['le']}", ""
        case "too_short" | "string_too_short":
            return "at least one item" if kind == "too_short" else "some text", ""
        case "too_long":
            return f"at most {context['max_length']} items", ""
        case "string_too_long":
            return f"at most {context['max_length']} characters", ""
        case _:
            return "", ""


def _meant_flag(got: object) -> str:
    if isinstance(got, str) and got.lower() in ("yes", "on", "y", "true"):
        return "write true"
    if isinstance(got, str) and got.lower() in ("no", "off", "n", "false"):
        return "write false"
    return ""


def known_keys(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys that the file may hold at ``path``, which begins at ``model``."""
    annotation: Any = model
    for step in path:
        annotation = next((found for each in _models(annotation) if (found := _child(each, step))), None)
        if annotation is None:
            return ()
    return tuple(
        field.alias or name
        for each in _models(annotation)
        if isinstance(each, type) and issubclass(each, BaseModel)
        for name, field in each.model_fields.items()
    )


def _models(annotation: Any) -> Iterator[Any]:
    """The types that ``annotation`` may stand for, its unions and annotations taken apart."""
    if get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (tuple, dict) or isinstance(annotation, type):
        yield annotation
    else:
        for each in get_args(annotation):
            yield from _models(each)


def _child(annotation: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return get_args(annotation)[0] if get_origin(annotation) is tuple else None
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if step == (field.alias or name):
                return field.annotation
    return None


def nulls(
    document: Document, tree: Any, may_be_empty: Callable[[Path], bool], path: Path = ()
) -> Iterator[Problem]:
    """Keys and items with nothing behind them, but where ``may_be_empty``."""
    if tree is None:
        if not may_be_empty(path):
            what = "item" if isinstance(path[-1], int) else "key"
            message, hint = "got nothing, expected a value", f"give the {what} a value or remove it"
            yield problem(document, path, message, hint, key=True)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from nulls(document, value, may_be_empty, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from nulls(document, value, may_be_empty, (*path, index))
