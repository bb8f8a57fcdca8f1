from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.deploy.record import Named, Record, deployed, packed, unpacked
from agents.sdk.workspace import AgentError
from tests.agents.workspace import task


def record(revision: int = 1, status: Any = "deployed", manifests: str = "kind: X") -> Record:
    return Record(
        revision=revision, status=status, run="run-1", task="deploy", attempt="attempt-1", manifests=manifests
    )


@given(st.integers(1, 10**6), st.text(max_size=500), st.lists(st.text(max_size=20), max_size=5))
def test_what_is_packed_is_unpacked_as_it_was(revision: int, text: str, names: list[str]) -> None:
    created = tuple(Named(kind="ConfigMap", name=each) for each in names)
    before = record(revision, manifests=text).with_(created=created, restore=text[::-1])
    secret = packed(before, "shop")
    assert unpacked([secret]) == (before,)
    assert secret["metadata"]["name"] == f"turnout.v1.shop.v{revision}"
    assert "test" not in secret["data"]


def test_they_come_oldest_first_and_other_secrets_are_passed_over() -> None:
    secrets = [packed(record(each), "shop") for each in (10, 2, 1)]
    other = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "x"}}
    assert [each.revision for each in unpacked([*secrets, other])] == [1, 2, 10]


def _with(content: bytes) -> dict[str, Any]:
    secret = packed(record(), "shop")
    return secret | {"data": {"record": base64.b64encode(content).decode()}}


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"no json"),
        gzip.compress(json.dumps({"revision": "x"}).encode()),
        gzip.compress(b'{"a": 1}')[:-6],
        gzip.compress(b"0" * 65 * 1024 * 1024),
    ],
    ids=["no gzip", "no json", "no record", "cut short", "a bomb"],
)
def test_one_that_cannot_be_read_is_named(content: bytes) -> None:
    with pytest.raises(AgentError, match=r"turnout.v1.shop.v1 in the cluster cannot be read"):
        unpacked([_with(content)])


def test_one_that_is_too_large_for_the_cluster_is_refused() -> None:
    noise = "".join(f"{n * 2654435761 % 2**32:08x}" for n in range(400_000))
    with pytest.raises(AgentError, match="deploy them in several stages"):
        packed(record(manifests=noise), "shop")


def test_the_newest_that_is_deployed_stands() -> None:
    found = (record(1, "superseded"), record(2), record(3, "failed"))
    assert deployed(found) == found[1]
    assert deployed(()) is None
    assert found[1].is_of(task("deploy"))
    assert not found[1].is_of(task("deploy", run="run-2"))
