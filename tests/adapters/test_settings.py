from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from turnout.adapters.settings import InvalidSettings, Settings, describe, read_settings
from turnout.core.model import Runtime


def at(home: Path) -> Settings:
    return read_settings({"TURNOUT_HOME": str(home)})


def test_without_any_variable_everything_has_its_default(tmp_path: Path) -> None:
    found = read_settings({"HOME": str(tmp_path)})
    assert found.home == tmp_path / ".local/share/turnout"
    assert found.store_url == f"sqlite:///{found.home}/turnout.db"
    assert (found.embedded, found.runtimes, found.sandbox) == (True, (), "auto")
    assert found.projects_folder == found.home / "projects"


def test_the_home_follows_xdg_and_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings({"XDG_DATA_HOME": "/srv/data"}).home == Path("/srv/data/turnout")
    monkeypatch.chdir(tmp_path)
    assert read_settings({"TURNOUT_HOME": "here"}).home == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_settings({"TURNOUT_HOME": "~/there"}).home == tmp_path / "there"


def test_every_field_is_read_from_its_variable() -> None:
    given = {
        "TURNOUT_HOME": "/h",
        "TURNOUT_DATABASE_URL": "postgresql+psycopg://u:p@db/turnout",
        "TURNOUT_KAFKA_BOOTSTRAP": "broker:9092",
        "TURNOUT_LEASE": "12.5",
        "TURNOUT_HEARTBEAT": "2",
        "TURNOUT_LAUNCH_DEADLINE": "60",
        "TURNOUT_CANCEL_GRACE": "3",
        "TURNOUT_ORCHESTRATOR_TIMERS": "false",
        "TURNOUT_LAUNCHER_RUNTIMES": "process, docker",
        "TURNOUT_SLOTS": "4",
    }
    found = read_settings(given)
    assert found.store_url == given["TURNOUT_DATABASE_URL"]
    assert (found.embedded, found.slots, found.orchestrator_timers) == (False, 4, False)
    assert found.runtimes == (Runtime.PROCESS, Runtime.DOCKER)
    timing = found.timing
    assert (timing.launch, timing.lease, timing.heartbeat, timing.cancel_grace) == (60, 12.5, 2, 3)


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert read_settings({"HOME": "/h", "TURNOUT_LEASE": "", "TURNOUT_SANDBOX": ""}) == read_settings(
        {"HOME": "/h"}
    )


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TURNOUT_LEASE", "soon", "TURNOUT_LEASE: Input should be a valid number"),
        ("TURNOUT_LEASE", "0", "TURNOUT_LEASE: Input should be greater than 0"),
        ("TURNOUT_LEASE", "inf", "TURNOUT_LEASE: Input should be a finite number"),
        ("TURNOUT_SANDBOX", "maybe", "TURNOUT_SANDBOX: Input should be 'auto', 'require' or 'none'"),
        ("TURNOUT_ARTIFACTS", "ftp://x", "TURNOUT_ARTIFACTS: String should match pattern"),
        ("TURNOUT_SLOTS", "-1", "TURNOUT_SLOTS: Input should be greater than or equal to 0"),
        ("TURNOUT_FUNCTION_URLS", "https://f", "TURNOUT_FUNCTION_URLS: Value error, no JSON"),
        ("TURNOUT_FUNCTION_URLS", "[]", "expected an object of functions and their addresses"),
        (
            "TURNOUT_FUNCTION_URLS",
            '{"reporter": "f:1", "cook": "http://c"}',
            "'f:1' is no http:// or https://",
        ),
        ("TURNOUT_FUNCTION_URLS", '{"reporter": "f:1", "cook": "http://c"}', "'cook' is no function that is"),
        ("TURNOUT_LAUNCHER_RUNTIMES", "process,moon", "'moon' is no runtime; known are process, docker,"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_got(variable: str, value: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings({"HOME": "/h", variable: value})
    assert said in str(caught.value)
    assert repr(value) in str(caught.value)


def test_stacks_that_share_a_bus_have_members_of_their_own_that_keep_their_names() -> None:
    names = [
        read_settings({"HOME": "/h", "TURNOUT_NODE": node}).member("dispatcher")
        for node in ("", "a", "b", "a")
    ]
    assert names == ["dispatcher", "dispatcher.a", "dispatcher.b", "dispatcher.a"]
    with pytest.raises(InvalidSettings, match="TURNOUT_NODE"):
        read_settings({"HOME": "/h", "TURNOUT_NODE": "no spaces"})


def test_a_lease_outlasts_a_heartbeat_that_comes_late() -> None:
    assert read_settings({"HOME": "/h", "TURNOUT_LEASE": "4", "TURNOUT_HEARTBEAT": "2"}).lease == 4
    with pytest.raises(InvalidSettings, match="TURNOUT_LEASE: 3 s is too short for a heartbeat every 2 s"):
        read_settings({"HOME": "/h", "TURNOUT_LEASE": "3", "TURNOUT_HEARTBEAT": "2"})


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(
            {
                "HOME": "/h",
                "TURNOUT_LEASE": "x",
                "TURNOUT_SLOTS": "y",
                "TURNOUT_SERVER_KEY_FILE": "/no/such/file",
            }
        )
    for variable in ("TURNOUT_LEASE", "TURNOUT_SLOTS", "TURNOUT_SERVER_KEY_FILE"):
        assert variable in caught.value.message


def test_a_secret_may_be_given_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("s3cret\n")
    found = read_settings({"HOME": "/h", "TURNOUT_WEBHOOK_SECRET_FILE": str(file)})
    assert found.webhook_secret.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    "secret", ["webhook_secret", "server_key", "slack_token", "kafka_password", "smtp_url"]
)
def test_no_secret_is_shown_by_a_settings_value(secret: str) -> None:
    found = read_settings({"HOME": "/h", f"TURNOUT_{secret.upper()}": "hunter2"})
    assert getattr(found, secret).get_secret_value() == "hunter2"
    assert "hunter2" not in f"{found!r} {found.to_json()}"


def test_the_value_of_a_secret_is_not_told_when_settings_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xffhunter2")
    with pytest.raises(InvalidSettings) as caught:
        read_settings({"HOME": "/h", "TURNOUT_SLACK_TOKEN_FILE": str(file), "TURNOUT_DATABASE_URL": "x"})
    assert "TURNOUT_SLACK_TOKEN_FILE" in str(caught.value)
    assert "hunter2" not in str(caught.value)


# --- the server's key ----------------------------------------------------------------------------------


def test_a_key_that_is_set_is_the_key() -> None:
    assert read_settings({"HOME": "/h", "TURNOUT_SERVER_KEY": "k"}).key() == b"k"


def test_a_key_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    settings = at(tmp_path / "home")
    key = settings.key()
    assert len(key) == 64
    assert at(tmp_path / "home").key() == key
    kept = tmp_path / "home" / "server.key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert [each.name for each in kept.parent.iterdir()] == ["server.key"]


def test_everyone_who_asks_at_once_gets_the_same_key(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    found: list[bytes] = []

    def ask() -> None:
        together.wait(10)
        found.append(at(tmp_path).key())

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for each in asking:
        each.start()
    for each in asking:
        each.join(10)
    assert len(found) == 8
    assert set(found) == {(tmp_path / "server.key").read_bytes()}


# --- the table -----------------------------------------------------------------------------------------


def test_the_table_of_settings_has_every_variable_with_its_meaning() -> None:
    rows = describe().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields)
    for name, row in zip(Settings.model_fields, rows, strict=True):
        variable, default, meaning = [cell.strip() for cell in row.strip("|").split("|")]
        assert variable == f"`TURNOUT_{name.upper()}`"
        assert meaning
        assert "**" not in default
