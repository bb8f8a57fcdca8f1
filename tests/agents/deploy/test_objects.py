from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agents.deploy import objects
from agents.deploy.objects import Id
from agents.sdk.workspace import AgentError
from tests.agents.deploy.shop import DEPLOYMENT

NAME = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)


def made(kind: str = "ConfigMap", name: str = "shop", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}} | more


def test_streams_and_lists_are_taken_apart() -> None:
    text = (
        "---\n# nothing\n---\n"
        + yaml.safe_dump(made())
        + "---\n"
        + yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [made(name="a"), made(name="b")]})
    )
    assert [each["metadata"]["name"] for each in objects.read(text, "it")] == ["shop", "a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "cannot be read"),
        ("- 1", "no object of Kubernetes"),
        ("kind: X\napiVersion: v1\n", "without apiVersion, kind or metadata"),
        ("kind: X\napiVersion: v1\nmetadata: {}\n", "has no metadata.name"),
        ("kind: 3\napiVersion: v1\nmetadata: {name: x}\n", "without apiVersion"),
    ],
)
def test_what_is_no_object_is_named(text: str, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        objects.read(text, "the file")


def test_aliases_that_make_a_small_text_large_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(AgentError, match="aliases counted"):
        objects.read("\n".join(lines), "the chart")


def test_days_and_hours_stay_texts() -> None:
    (found,) = objects.read("apiVersion: v1\nkind: X\nmetadata: {name: x}\nday: 2024-01-01\n", "it")
    assert found["day"] == "2024-01-01"


def test_images_of_all_containers_are_found() -> None:
    pod = {
        "initContainers": [{"image": "a"}],
        "containers": [{"image": "b"}, {"image": "b"}, {"name": "none"}],
    }
    job = made("CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": pod}}}})
    assert objects.images([job, made(data={"image": "no container's"})]) == ("a", "b")


SECRET = st.dictionaries(NAME, st.text("abcdefgh-0123", min_size=8, max_size=20), min_size=1, max_size=4)


@given(SECRET, SECRET)
def test_a_masked_secret_holds_none_of_its_values(data: dict[str, str], string_data: dict[str, str]) -> None:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    note = {"kubectl.kubernetes.io/last-applied-configuration": str(string_data)}
    secret = made("Secret", data=encoded, stringData=string_data)
    secret["metadata"] = {"name": "x", "annotations": note}
    text = objects.shown([secret])
    for value in (*encoded.values(), *string_data.values()):
        assert value not in text.replace("\n", "")
    for key in (*data, *string_data):
        assert f"{key}: '***'" in text or f"'{key}': '***'" in text
    assert set(encoded.values()) <= set(objects.secret_values([secret]))
    assert secret["stringData"] == string_data  # what is applied is another matter


def test_other_things_are_shown_as_they_are() -> None:
    assert "greeting: hello" in objects.shown([made(data={"greeting": "hello"})])


def test_changes_are_told_by_generation_or_by_version() -> None:
    def version(generation: int | None, resource: int, name: str, **labels: str) -> dict[str, Any]:
        meta: dict[str, Any] = {"name": name, "resourceVersion": str(resource), "annotations": labels}
        if generation is not None:
            meta["generation"] = generation
        return {"apiVersion": "v1", "kind": "X", "metadata": meta}

    revision = {"deployment.kubernetes.io/revision": "1"}
    before = [version(1, 10, "status-only"), version(1, 11, "spec"), version(None, 12, "data")]
    before += [version(None, 13, "same"), version(1, 14, "note")]
    after = [version(1, 20, "status-only", **revision), version(2, 21, "spec"), version(None, 22, "data")]
    after += [version(None, 13, "same"), version(1, 24, "note", author="me"), version(1, 25, "new")]
    found = objects.changes(before, after, [Id("X", "gone")])
    assert [each.name for each in found.created] == ["new"]
    assert [each.name for each in found.configured] == ["spec", "data", "note"]
    assert [each.name for each in found.unchanged] == ["status-only", "same"]
    assert str(found) == "1 created, 3 configured, 1 deleted, 2 unchanged"


def test_workloads_and_their_pods_are_known() -> None:
    (deployment,) = objects.read(DEPLOYMENT, "it")
    assert objects.workloads([deployment, made()]) == (Id("Deployment", "shop", "", "apps"),)
    assert objects.selector(deployment) == "app=shop"
    assert Id("Deployment", "shop", "", "apps").resource == "deployment.apps"


def test_hooks_are_left_out() -> None:
    hook = made("Job", "migrate")
    hook["metadata"]["annotations"] = {"helm.sh/hook": "pre-upgrade"}
    assert objects.hooks_left_out([hook, made()]) == (made(),)


def test_what_the_server_adds_is_left_out_of_what_is_applied_again() -> None:
    live = made(status={"x": 1}, data={"a": "b"})
    live["metadata"] |= {"resourceVersion": "3", "uid": "u", "managedFields": [], "labels": {"a": "b"}}
    assert objects.cleaned(live) == made(data={"a": "b"}) | {
        "metadata": {"name": "shop", "labels": {"a": "b"}}
    }


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        objects.read(text, "it")
    except AgentError:
        pass  # nothing else may come out
