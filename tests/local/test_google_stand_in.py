"""The stand-in of Google's APIs takes what Google's messages have, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.google.cloud_build import PARENT, CloudBuild
from local.google.cloud_run import CloudRun

BUILDS = f"/v1/{PARENT}/builds"
BUILD: dict[str, Any] = {"steps": [{"name": "registry.example.org/a:1"}], "timeout": "60s"}


@pytest.fixture(scope="module")
def cloud() -> Iterator[CloudBuild]:
    with CloudBuild() as made:
        yield made


def post(url: str, body: Any) -> tuple[int, str]:
    answer = httpx.post(url, json=body)
    return answer.status_code, json.dumps(answer.json())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stepz": []}, "stepz"),
        ({"timeout": "an hour"}, "timeout"),
        ({"timeout": "90000s"}, "out of range"),
        ({"steps": []}, "at least one"),
        ({"steps": [{"name": "a:1", "env": ["no value"]}]}, "KEY=VALUE"),
        ({"steps": [{"name": "a:1", "env": ["A=$HOME"]}]}, "not a valid built-in substitution"),
        ({"steps": [{"name": "a:1", "image": "b:1"}]}, "image"),
        ({"tags": ["a b"]}, "is none"),
        ({"status": "DONE"}, "DONE"),
        ({"serviceAccount": "projects/p/serviceAccounts/a"}, "where its logs go"),
    ],
)
def test_a_build_that_google_would_refuse_is_refused(
    cloud: CloudBuild, change: dict[str, Any], said: str
) -> None:
    code, text = post(f"{cloud.url}{BUILDS}", BUILD | change)
    assert code == 400
    assert said in text
    assert not cloud.builds


def test_a_parameter_that_the_method_does_not_have_is_refused(cloud: CloudBuild) -> None:
    answer = httpx.get(f"{cloud.url}{BUILDS}", params={"filter": 'tags="a"', "order": "newest"})
    assert answer.status_code == 400
    assert "order" in answer.text


def test_a_path_that_google_does_not_have_is_not_found(cloud: CloudBuild) -> None:
    assert httpx.post(f"{cloud.url}/v1/{PARENT}/build", json=BUILD).status_code == 404


def test_a_run_of_a_job_takes_no_image(cloud: CloudBuild) -> None:
    with CloudRun() as run:
        run.make_job("turnout-script")
        (name,) = run.jobs
        override = {"containerOverrides": [{"image": "registry.example.org/other:1"}]}
        code, text = post(f"{run.url}/v2/{name}:run", {"overrides": override})
        assert code == 400
        assert "image" in text
        assert post(f"{run.url}/v2/{name}:run", {})[0] == 200
