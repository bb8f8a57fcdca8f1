"""When something goes wrong, what is said of it holds no credential: errors, their causes, tracebacks, logs, pages."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.sdk.channel import Begin
from tests.agents.sdk.hosts import BoundSecrets as Bound
from tests.agents.sdk.hosts import bench as make_bench
from tests.agents.workspace import task
from turnout.adapters.config_files import BoundSecrets, ProjectFolder, read_project
from turnout.adapters.git_command import Credential
from turnout.adapters.kafka_settings import KafkaSettings
from turnout.adapters.mirror import Mirrors
from turnout.adapters.settings import read_settings
from turnout.core.errors import InvalidConfig, TurnoutError
from turnout.core.model import Outcome
from turnout.wiring import Wiring

PASSWORD = "hunter2hunter2"
ROOT = Path(__file__).resolve().parents[2]


def said_by(failing: Callable[[], object]) -> str:
    """All that a log would hold of the error: message, causes, traceback, and the values' own words."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        failing()
    return "".join(traceback.format_exception(caught.value)) + str(caught.value) + repr(caught.value)


def test_settings_never_show_a_credential() -> None:
    names = ("KAFKA_PASSWORD", "WEBHOOK_SECRET", "SERVER_KEY", "SLACK_TOKEN", "FUNCTION_TOKEN")
    given = {f"TURNOUT_{name}": f"{PASSWORD}-{name}" for name in names}
    given["TURNOUT_SMTP_URL"] = f"smtp://user:{PASSWORD}@host"
    given["TURNOUT_DATABASE_URL"] = f"postgresql+psycopg://user:{PASSWORD}@host/db"
    settings = read_settings({"TURNOUT_HOME": "/nowhere", **given})
    for shown in (repr(settings), str(settings), f"{settings!r}", repr(Wiring(settings).__dict__)):
        assert PASSWORD not in shown
    wrong = said_by(lambda: read_settings({"TURNOUT_HOME": "/nowhere", "TURNOUT_LEASE": "x", **given}))
    assert "TURNOUT_LEASE" in wrong
    assert PASSWORD not in wrong


@pytest.mark.parametrize(
    "url",
    [
        f"cobol://user:{PASSWORD}@db/x",
        f"postgresql+psycopg://user:{PASSWORD}@:notaport/x",
        f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/x?nonsense=1",
        f"user:{PASSWORD}@db",
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url: str, tmp_path: Path) -> None:
    settings = read_settings({"TURNOUT_HOME": str(tmp_path), "TURNOUT_DATABASE_URL": url})
    said = said_by(lambda: Wiring(settings).store.runs())
    assert PASSWORD not in said
    shown = subprocess.run(
        [sys.executable, "-m", "turnout", "runs", "--json"],
        cwd=ROOT,
        env={**os.environ, "TURNOUT_HOME": str(tmp_path), "TURNOUT_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode != 0
    assert PASSWORD not in shown.stdout + shown.stderr


def test_what_is_known_of_a_broker_is_shown_without_its_password() -> None:
    settings = KafkaSettings(
        bootstrap="127.0.0.1:1",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        username="user",
        password=PASSWORD,
    )
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/o/r", f"http://user:{PASSWORD}@127.0.0.1:1/o/r"])
def test_a_remote_that_is_away_is_named_without_its_credential(url: str, tmp_path: Path) -> None:
    credential = None if PASSWORD in url else Credential(PASSWORD)
    mirror = Mirrors(tmp_path).of(url, credential)
    said = said_by(lambda: mirror.ensure("a" * 40))
    assert "127.0.0.1:1" in said
    assert PASSWORD not in said + repr(mirror)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "url", [f"https://user:{PASSWORD}@host/o/r", f"https://{PASSWORD}@host/o/r", f"http://x:{PASSWORD}@h/r"]
)
def test_a_project_file_takes_no_credential_in_an_address(url: str) -> None:
    """It would go into every change, and so into the store and onto the topics."""
    text = f"project:\n  repository: o/r\n  clone_url: {url}\n"
    with pytest.raises(InvalidConfig) as refused:
        read_project(text, "project.yml")
    assert "project.clone_url" in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_secret_that_cannot_be_had_is_named_and_not_told(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(PASSWORD.encode() + b"\xff")
    (tmp_path / "p.yml").write_text(
        f"project: {{repository: o/r, secrets: {{A: {{file: {tmp_path}/odd}}, B: {{env: GONE}}}}}}\n"
    )
    for name in ("A", "B"):
        bound = BoundSecrets(ProjectFolder(tmp_path), {"HOME": PASSWORD})
        said = said_by(functools.partial(bound.resolve, "o/r", "", [name]))
        assert name in said
        assert PASSWORD not in said.replace("UnicodeDecodeError", "")


def test_what_crosses_to_an_attempt_is_shown_by_nothing() -> None:
    begin = Begin(task=task("shell"), agent="a:b", home=Path("/h"), secrets={"TOKEN": PASSWORD}, earlier=None)
    assert PASSWORD not in repr(begin) + str(begin)
    broken = json.loads(begin.model_dump_json()) | {"grace": "soon"}
    broken["secrets"]["OTHER"] = {"value": PASSWORD}
    said = said_by(lambda: Begin.model_validate(broken))
    assert "grace" in said
    assert PASSWORD not in said


def test_a_secret_that_is_no_text_breaks_nothing_and_is_not_told(
    origin: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An environment variable may hold bytes that are no UTF-8; Python shows them as lone surrogates."""
    odd = PASSWORD + os.fsdecode(b"\xff\xfe")
    with make_bench(tmp_path, *origin) as bench:
        bench.host.secrets.values = {"TOKEN": odd}  # type: ignore[attr-defined]
        assert isinstance(bench.host.secrets, Bound)
        result = bench.run("shell", secrets=("TOKEN",), options={"run": 'printf "%s\\n" "$TOKEN"'})
        left = bench.log("shell") + result.model_dump_json()
    assert result.outcome in (Outcome.SUCCESS, Outcome.ERROR)
    captured = capfd.readouterr()
    assert PASSWORD not in left + captured.out + captured.err


LOGGED = f"""
import sys
from turnout.logging import configure_logging, get_logger
from turnout.core.errors import PermanentError
if sys.argv[1] == "people":
    sys.stderr.isatty = lambda: True
configure_logging("debug")
class Client:
    def __init__(self, token): self.token = token
    def call(self, password):
        headers = {{"authorization": password}}
        raise ValueError("refused")
try:
    Client({PASSWORD!r}).call({PASSWORD!r})
except ValueError:
    get_logger().exception("it went wrong")
"""


@pytest.mark.parametrize("reader", ["people", "programs"])
def test_a_traceback_in_the_log_shows_no_values(reader: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGGED.replace(repr(PASSWORD), "chr(104) + 'unter2hunter2'"), reader],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "refused" in done.stderr
    assert "Traceback" in done.stderr
    assert PASSWORD not in done.stderr


def test_errors_of_ours_carry_no_more_than_they_say() -> None:
    error = TurnoutError("no such run", "look again")
    assert (str(error), repr(error)) == ("no such run (look again)", repr(error))
    assert vars(error).keys() <= {"message", "hint", "retry_after"}
