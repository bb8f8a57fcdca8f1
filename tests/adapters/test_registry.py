from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.registry import a_registry
from turnout.adapters.registry import HUB, Registries, Tagged, read_tagged, registries
from turnout.core.errors import NotFound, PermanentError, TransientError

IMAGE = f"sha256:{'a' * 64}"
MAIN = {"/v2/shop/manifests/main": IMAGE}
LOGIN = base64.b64encode(b"ada:tea").decode()


@pytest.mark.parametrize(
    ("image", "tagged"),
    [
        ("registry.example.org:5000/team/shop:v1", Tagged("registry.example.org:5000", "team/shop", "v1")),
        ("registry.example.org/shop", Tagged("registry.example.org", "shop", "latest")),
        ("localhost/shop:a", Tagged("localhost", "shop", "a")),
        ("team/shop:a", Tagged(HUB, "team/shop", "a")),
        ("docker.io/team/shop", Tagged(HUB, "team/shop", "latest")),
        ("redis:7", Tagged(HUB, "library/redis", "7")),
    ],
)
def test_a_name_is_read_as_docker_reads_it(image: str, tagged: Tagged) -> None:
    assert read_tagged(image) == tagged


@pytest.mark.parametrize(
    "image", ["", "r.example.org/", "r.example.org/Shop", "a b", "r.x/../shop", "r.x/s:a/../b"]
)
def test_what_is_no_name_is_refused(image: str) -> None:
    with pytest.raises(PermanentError, match="names no image"):
        read_tagged(image)


def test_only_a_registry_on_loopback_is_spoken_to_without_tls() -> None:
    assert read_tagged("127.0.0.1:5000/shop").url.startswith("http://127.0.0.1:5000/v2/shop/")
    assert read_tagged("127.0.0.1.example.org/shop").url.startswith("https://")


def test_what_a_tag_points_to_is_told() -> None:
    with a_registry(MAIN) as address:
        assert Registries().digest(f"{address}/shop:main") == IMAGE
        with pytest.raises(NotFound, match="has no shop:other"):
            Registries().digest(f"{address}/shop:other")


@pytest.mark.parametrize("asks", ["basic", "bearer"])
def test_a_registry_that_asks_is_shown_what_docker_keeps(asks: str, tmp_path: Path) -> None:
    with a_registry(MAIN, asks=asks, login=LOGIN) as address:
        with pytest.raises(PermanentError, match="docker login"):
            Registries().digest(f"{address}/shop:main")
        kept = {"auths": {f"https://{address}/v1/": {"auth": LOGIN}, "other": {}}, "credsStore": "x"}
        (tmp_path / "config.json").write_text(json.dumps(kept))
        known = registries({"DOCKER_CONFIG": str(tmp_path)})
        assert known.digest(f"{address}/shop:main") == IMAGE
        assert LOGIN not in repr(known)


def test_a_token_that_anybody_gets_is_fetched() -> None:
    with a_registry(MAIN, asks="bearer") as address:
        assert Registries().digest(f"{address}/shop:main") == IMAGE


@pytest.mark.parametrize("content", [None, "", "[]", '{"auths": []}', '{"auths": {"r": 1}}', "\x00"])
def test_where_docker_keeps_nothing_nothing_is_shown(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker/config.json").write_text(content)
    assert registries({"HOME": str(tmp_path)}).logins == {}


def test_a_registry_that_is_away_or_out_of_order_may_be_asked_again() -> None:
    with a_registry(MAIN, status=500) as address, pytest.raises(TransientError, match="answered 500"):
        Registries().digest(f"{address}/shop:main")
    with pytest.raises(TransientError, match="can't be asked"):
        Registries().digest(f"{address}/shop:main")


def test_a_registry_that_says_no_digest_is_not_believed() -> None:
    with (
        a_registry({"/v2/shop/manifests/main": "main"}) as address,
        pytest.raises(PermanentError, match="not say"),
    ):
        Registries().digest(f"{address}/shop:main")
