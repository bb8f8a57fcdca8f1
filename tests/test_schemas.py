from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.core.writing import ANYONE, EVERY_WORD, SMALLEST, pull_request, push, tag
from turnout import schemas
from turnout.adapters.yaml_source import load
from turnout.core.change import Change
from turnout.core.config import ProjectConfig, parse_pipeline, parse_project
from turnout.core.config_pipeline import PipelineFile
from turnout.core.config_project import ProjectFile
from turnout.core.errors import InvalidConfig
from turnout.core.plan import Plan
from turnout.core.planner import plan

ROOT = Path(__file__).resolve().parent.parent
PIPELINES = ("smallest.yml", "full.yml")
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((schemas.FOLDER / name).read_text()))


def examples(page: str) -> list[str]:
    return _BLOCK.findall((ROOT / "docs" / page).read_text())


def operator() -> ProjectConfig:
    return parse_project(load((ROOT / "pipelines/project.yml").read_text(), "project.yml"))


def test_the_schemas_that_are_shipped_are_current() -> None:
    assert schemas.stale() == (), "run `make docs`"
    assert schemas.main(["--check"]) == 0


def test_a_schema_that_is_not_current_is_found_and_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--folder", str(tmp_path)]
    assert schemas.main(["--check", *folder]) == 1
    assert "run `make docs`" in capsys.readouterr().err
    assert schemas.main(folder) == 0
    assert schemas.main(["--check", *folder]) == 0
    (tmp_path / "project.schema.json").write_text("{}")
    assert schemas.stale(tmp_path) == ("project.schema.json",)


@pytest.mark.parametrize("name", schemas.SCHEMAS)
def test_a_schema_is_sound_and_describes_every_key(name: str) -> None:
    schema = json.loads((schemas.FOLDER / name).read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for model in schema["$defs"].values():
        for key, field in model.get("properties", {}).items():
            assert field.get("description") or "$ref" in field, key


def test_the_examples_validate_and_plan() -> None:
    for name in PIPELINES:
        document = load((ROOT / "pipelines" / name).read_text(), name)
        validator("pipeline.schema.json").validate(document.tree)
        config = parse_pipeline(document, project=operator())
        for change in (push(), tag(), pull_request()):
            assert isinstance(plan(config, operator(), change), Plan)


def test_the_projects_example_validates() -> None:
    document = load((ROOT / "pipelines/project.yml").read_text(), "project.yml")
    validator("project.schema.json").validate(document.tree)
    assert parse_project(document).repository == "org/shop"


@pytest.mark.parametrize("text", [SMALLEST, EVERY_WORD])
def test_the_files_of_the_design_validate(text: str) -> None:
    validator("pipeline.schema.json").validate(load(text, "pipeline.yml").tree)


def test_the_smallest_example_is_the_one_in_the_documentation() -> None:
    shipped = (ROOT / "pipelines/smallest.yml").read_text()
    assert load(shipped, "a").tree == load(examples("pipeline.md")[0], "b").tree == load(SMALLEST, "c").tree


@pytest.mark.parametrize("change", [push(), pull_request()])
def test_every_pipeline_in_the_documentation_validates_and_plans(change: Change) -> None:
    found = examples("pipeline.md")
    assert len(found) >= 5
    for text in found:
        document = load(text, "docs/pipeline.md")
        validator("pipeline.schema.json").validate(document.tree)
        assert isinstance(plan(parse_pipeline(document), ANYONE, change), Plan)


def test_every_project_in_the_documentation_validates() -> None:
    found = examples("project.md")
    assert len(found) >= 2
    for text in found:
        document = load(text, "docs/project.md")
        validator("project.schema.json").validate(document.tree)
        parse_project(document)


@pytest.mark.parametrize(("page", "root"), [("pipeline.md", PipelineFile), ("project.md", ProjectFile)])
def test_every_key_is_documented(page: str, root: Any) -> None:
    text = (ROOT / "docs" / page).read_text()
    missing = {key for key in keys(root) if not re.search(rf"\b{re.escape(key)}\b", text)}
    assert not missing


def keys(model: Any) -> Iterator[str]:
    for definition in model.model_json_schema(by_alias=True)["$defs"].values():
        yield from definition.get("properties", {})


@pytest.mark.parametrize(
    "text",
    [
        "pipeline: {stages: [lint], retry: true}",
        "pipeline: {stages: [{agent: test, retires: 1}]}",
        "pipeline: {stages: [{agent: test, timeout: 15}]}",
        "pipeline: {stages: [{agent: test, timeout: soon}]}",
        "pipeline: {stages: [{agent: test, runtime: k8s}]}",
        "pipeline: {stages: [{agent: test, retries: {max: 99}}]}",
        "pipeline: {stages: [{with: {}}]}",
        "pipeline: {stages: 3}",
        "pipeline: {}",
        "{}",
    ],
)
def test_what_the_schema_refuses_the_parser_refuses_too(text: str) -> None:
    document = load(text, "pipeline.yml")
    assert not validator("pipeline.schema.json").is_valid(document.tree)
    with pytest.raises(InvalidConfig):
        parse_pipeline(document)


@pytest.mark.parametrize(
    "text",
    [
        "pipeline: {stages: [lint, [test, {agent: build}]], on: push}",
        "pipeline: {stages: [lint], on: {push: , tag: v1, schedule: '0 3 * * *', manual: true}}",
        "pipeline: {stages: [{agent: test, retries: 2, approval: true, needs: [], matrix: {p: [3.10, 3.11]}}]}",
        "pipeline: {stages: [{agent: test, env: {A: 1, B: true}, resources: {cpu: 500m}, when: {branch: main}}]}",
        "{x-anchors: [1, 2], pipeline: {stages: [deploy], concurrency: '{ref}', notify: {on: success}}}",
    ],
)
def test_short_forms_pass_the_schema_as_they_pass_the_parser(text: str) -> None:
    document = load(text, "pipeline.yml")
    validator("pipeline.schema.json").validate(document.tree)
    parse_pipeline(document)
