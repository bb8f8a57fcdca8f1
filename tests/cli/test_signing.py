from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from tests.cli.house import House
from tests.console.serving import serving
from tests.core.building import a_plan, stage
from turnout.adapters.console_client import console_address
from turnout.core.errors import PermanentError
from turnout.core.model import Outcome


@pytest.fixture
def address(house: House) -> Iterator[str]:
    with serving(house.wiring) as found:
        yield found


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--remote` is kept in the environment: what a test has said ends with it."""
    monkeypatch.setenv("TURNOUT_REMOTE", "")


def test_who_has_signed_in_reads_and_acts_at_the_console(
    house: House, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = house.push(a_plan(stage("lint"), stage("test", "lint")))
    monkeypatch.setattr("sys.stdin", io.StringIO(house.wiring.settings.console_token() + "\n"))
    said = house.turnout("login", address, "--json").json
    assert said["console"] == address
    kept = house.wiring.settings.home / "consoles.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["current"] == address
    (row,) = house.turnout("runs", "--json").json
    assert row["id"] == run.id
    assert house.turnout("show", "latest", "--json").json["id"] == run.id
    assert len(house.turnout("events", "1", "--json").lines) == run.version
    house.ends(run, "lint", log="fine\n")
    assert house.turnout("logs", "latest", "lint").out == "── lint · attempt 1 ──\nfine\n"
    assert house.turnout("cancel", "latest", "--reason", "enough", "--json").json["asked"] == "cancel"
    house.asked()
    assert house.ends(run, "test", Outcome.CANCELLED).reason == "enough"
    refused = house.turnout("cancel", "latest")
    assert (refused.status, refused.err.count("has ended already")) == (2, 1)
    refused = house.turnout("rerun", "latest", "--by", "ada")
    assert (refused.status, refused.err.count("knows who you are")) == (2, 1)
    assert house.turnout("logout", "--json").json == {"console": address}
    assert json.loads(kept.read_text()) == {"current": "", "tokens": {}}


def test_a_token_that_is_not_known_signs_nobody_in(house: House, address: str) -> None:
    said = house.turnout("login", address, "--token", "wrong")
    assert (said.status, said.err.count("turnout login")) == (2, 1)
    assert not (house.wiring.settings.home / "consoles.json").exists()


def test_the_remote_is_chosen_for_one_command(house: House, address: str) -> None:
    house.push(a_plan(stage("lint")))
    said = house.turnout("--remote", address, "runs")
    assert (said.status, said.err.count(f"`turnout login {address}`")) == (2, 1)
    assert len(house.turnout("--remote", "local", "runs", "--json").json) == 1
    assert house.turnout("--remote", "http://127.0.0.1:9", "runs").err.count("does not answer") == 1


@pytest.mark.parametrize(
    "given", ["http://turnout.example.org", "ftp://x", "https://u:p@x", "https://", "https://x:y"]
)
def test_no_token_goes_where_others_could_read_it(given: str) -> None:
    with pytest.raises(PermanentError):
        console_address(given)


def test_an_address_is_read_as_people_write_it() -> None:
    assert console_address("turnout.example.org/") == "https://turnout.example.org"
    assert console_address(" http://127.0.0.1:8090/ ") == "http://127.0.0.1:8090"
