"""Where a submodule may be fetched from: rules on addresses, without a server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from turnout.adapters.git_command import address
from turnout.adapters.git_submodules import careful, fetched_from
from turnout.core.errors import PermanentError, TransientError

HOME = "https://git.example.org/shop/app.git"


def place(url: str, home: str = HOME, parent: str = "", *, elsewhere: bool = True, ssh: bool = True) -> str:
    ours = address(home)
    return fetched_from(url, address(parent) if parent else ours, ours, elsewhere=elsewhere, ssh=ssh).url


@pytest.mark.parametrize(
    ("url", "home", "found"),
    [
        ("../lib.git", HOME, "https://git.example.org/shop/lib.git"),
        ("../../base/lib", HOME, "https://git.example.org/base/lib"),
        ("./lib", HOME, "https://git.example.org/shop/app.git/lib"),
        ("../lib", "git@git.example.org:shop/app", "git@git.example.org:shop/lib"),
        ("../lib", "ssh://git@git.example.org/shop/app", "ssh://git@git.example.org/shop/lib"),
        ("https://git.example.org/base/lib.git", HOME, "https://git.example.org/base/lib.git"),
        ("https://other.example.com/x", HOME, "https://other.example.com/x"),
        # As the repository itself is fetched, for which no key is needed.
        ("git@git.example.org:base/lib.git", HOME, "https://git.example.org/base/lib.git"),
        ("ssh://git@git.example.org/base/lib.git", HOME, "https://git.example.org/base/lib.git"),
        ("http://127.0.0.1:81/lib", "http://127.0.0.1:81/app", "http://127.0.0.1:81/lib"),
    ],
)
def test_a_submodule_is_found_where_git_would_find_it(url: str, home: str, found: str) -> None:
    assert place(url, home) == found


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///srv/private", "folders of the agents' machine"),
        ("/srv/private", "folders of the agents' machine"),
        ("ext::sh -c id", "not allowed"),
        ("fd::3", "not allowed"),
        ("git://git.example.org/x", "not allowed"),
        ("--upload-pack=touch /tmp/x", "no address"),
        ("../../../x", "leads out"),
        (".././../../x", "leads out"),
        ("../x/../../y", "leads out"),
        ("http://git.example.org/x", "over http"),
        ("http://169.254.169.254/x", "over http"),
        ("git@elsewhere.example.org:x", "with ssh only"),
        ("ssh://git@elsewhere.example.org/x", "with ssh only"),
        ("https://user:s3cret@other.example.com/x", "password"),
    ],
)
def test_what_could_read_something_else_is_refused(url: str, why: str) -> None:
    with pytest.raises(PermanentError, match=why) as caught:
        place(url)
    assert "s3cret" not in str(caught.value)


def test_a_relative_address_leads_nowhere_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="leads to no server"):
        place("../private", str(tmp_path / "shop"))


def test_a_fork_names_no_other_server_and_uses_no_key() -> None:
    assert place("../lib", elsewhere=False, ssh=False) == "https://git.example.org/shop/lib"
    with pytest.raises(PermanentError, match=r"git\.example\.org only") as caught:
        place("https://other.example.com/x", elsewhere=False, ssh=False)
    assert "forks" in caught.value.hint
    with pytest.raises(PermanentError, match="none for a fork"):
        place("../private", "git@git.example.org:shop/app", elsewhere=False, ssh=False)


def answering(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    def look_up(*_: Any, **__: Any) -> list[Any]:
        if not found:
            raise socket.gaierror("Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "where",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "::1", "fe80::1%eth0", "fd00:ec2::254",
     "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1", "2002:7f00:1::"],
)  # fmt: skip
def test_a_name_of_this_machines_network_is_not_asked(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    answering(monkeypatch, "93.184.216.34", where)
    with pytest.raises(PermanentError, match="no address of the internet"):
        careful(address("https://metadata.google.internal/x"), address(HOME))


def test_git_asks_the_address_that_was_looked_at_and_follows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "93.184.216.34", "2606:2800:220:1::1")
    options = careful(address("https://other.example.com/x"), address(HOME))
    assert "http.followRedirects=false" in options
    assert options[-1].startswith("http.curloptResolve=other.example.com:443:")
    assert set(options[-1].partition(":443:")[2].split(",")) == {"93.184.216.34", "[2606:2800:220:1::1]"}


def test_a_name_that_is_not_found_may_be_found_later(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch)
    with pytest.raises(TransientError, match=r"other\.example\.com"):
        careful(address("https://other.example.com/x"), address(HOME))


def test_the_repositorys_own_server_needs_no_look() -> None:
    assert careful(address("https://git.example.org/x"), address(HOME)) == (
        "-c",
        "http.followRedirects=false",
    )
