from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.deploy.complaints import Refused
from agents.deploy.images import Image, built, chart_values, check_used, has, kustomization, parts, put
from agents.deploy.options import ImageOptions
from agents.sdk.workspace import AgentError

DIGEST = "sha256:" + "a" * 64
IMAGE = Image("registry.example.org:5000/team/shop", "1.2", DIGEST)
OUTPUTS = {"image": "registry.example.org:5000/team/shop:1.2", "digest": DIGEST}
WORD = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)


def test_the_image_is_that_of_the_stage_that_has_pushed_one() -> None:
    assert built({"build": OUTPUTS, "test": {"count": "3"}}, ImageOptions(), "deploy") == IMAGE
    assert built({"test": {}}, ImageOptions(), "deploy") is None
    assert str(IMAGE) == f"registry.example.org:5000/team/shop:1.2@{DIGEST}"


def test_of_several_one_has_to_be_named() -> None:
    other = OUTPUTS | {"image": "registry.example.org/other:1"}
    upstream = {"build": OUTPUTS, "build-other": other}
    with pytest.raises(AgentError, match=r"build, build-other .*with.image.stage"):
        built(upstream, ImageOptions(), "deploy")
    found = built(upstream, ImageOptions(stage="build-other"), "deploy")
    assert found is not None
    assert found.repository == "registry.example.org/other"
    assert built({"build": OUTPUTS, "scan": OUTPUTS}, ImageOptions(), "deploy") == IMAGE
    assert built({"deploy": OUTPUTS}, ImageOptions(), "deploy") is None
    with pytest.raises(AgentError, match="let this stage need it"):
        built({"build": OUTPUTS}, ImageOptions(stage="elsewhere"), "deploy")


@pytest.mark.parametrize(
    "outputs",
    [
        {"image": "shop; rm -rf /", "digest": DIGEST},
        {"image": "shop", "digest": "sha256:short"},
        {"image": "shop:{{ .Values }}", "digest": DIGEST},
        {"image": "-f", "digest": DIGEST},
    ],
)
def test_outputs_that_name_no_image_are_refused(outputs: dict[str, str]) -> None:
    with pytest.raises(AgentError, match="name no image"):
        built({"build": outputs}, ImageOptions(), "deploy")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nginx", ("nginx", "", "")),
        ("nginx:1", ("nginx", "1", "")),
        ("host:5000/nginx", ("host:5000/nginx", "", "")),
        (f"host:5000/a/nginx:1@{DIGEST}", ("host:5000/a/nginx", "1", DIGEST)),
    ],
)
def test_a_name_is_taken_apart(reference: str, expected: tuple[str, str, str]) -> None:
    assert parts(reference) == expected


def test_a_chart_that_knows_the_digest_gets_it_under_its_key() -> None:
    defaults = {"image": {"repository": "x", "digest": "", "tag": "1"}}
    assert chart_values(IMAGE, ImageOptions(), defaults) == {
        "image": {"repository": IMAGE.repository, "tag": "1.2", "digest": DIGEST}
    }


def test_a_chart_that_does_not_gets_it_behind_the_tag() -> None:
    assert chart_values(IMAGE, ImageOptions(), {"image": {"tag": "1"}}) == {
        "image": {"repository": IMAGE.repository, "tag": f"1.2@{DIGEST}"}
    }


def test_keys_can_be_others() -> None:
    keys = ImageOptions(repository="", tag="", digest="", reference="web.image")
    assert chart_values(IMAGE, keys, {}) == {"web": {"image": str(IMAGE)}}


@given(st.lists(WORD, min_size=1, max_size=4), st.text(max_size=10))
def test_what_is_put_is_there(path: list[str], value: str) -> None:
    made: dict[str, Any] = {}
    put(made, ".".join(path), value)
    assert has(made, ".".join(path))
    found: Any = made
    for each in path:
        found = found[each]
    assert found == value


def test_keys_that_are_in_each_others_way_are_named() -> None:
    made: dict[str, Any] = {"image": "x"}
    with pytest.raises(AgentError, match="image is a value already"):
        put(made, "image.tag", "1")
    made = {"image": {"tag": "1"}}
    with pytest.raises(AgentError, match="values below it"):
        put(made, "image", "x")


def test_an_overlay_replaces_the_image_by_name() -> None:
    made = kustomization(["../a.yaml"], IMAGE, ImageOptions(name="shop"))
    assert made["images"] == [{"name": "shop", "newName": IMAGE.repository, "digest": DIGEST}]
    assert "images" not in kustomization(["../a.yaml"], None, ImageOptions())


def test_an_image_that_no_container_takes_is_refused_with_those_that_are_there() -> None:
    check_used(IMAGE, ["nginx:1", f"{IMAGE.repository}@{DIGEST}"], "how")
    check_used(IMAGE, [str(IMAGE)], "how")
    with pytest.raises(Refused, match=r"nginx:1 \(how\)"):
        check_used(IMAGE, ["nginx:1"], "how")
    with pytest.raises(Refused, match="are none"):
        check_used(IMAGE, [f"elsewhere@{DIGEST}"][:0], "how")
    with pytest.raises(Refused):
        check_used(IMAGE, [f"elsewhere@{DIGEST}"], "how")
