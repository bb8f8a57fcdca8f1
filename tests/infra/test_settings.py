"""What the parts are told on Google Cloud, as the plan has it, against the settings that the code reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.infra.places import FILES
from turnout.adapters.settings import Settings, read_settings
from turnout.core.topics import AGENT_KINDS

KNOWN = {f"TURNOUT_{name.upper()}" for name in Settings.model_fields}
SECRET = {
    f"TURNOUT_{name.upper()}"
    for name, field in Settings.model_fields.items()
    if field.annotation is SecretStr
}
IN_THE_OPEN = re.search(
    r'can\(regex\("([^"]+)", name\)', (FILES / "modules/turnout/variables.tf").read_text()
)


def test_no_setting_that_is_a_secret_may_stand_among_the_others() -> None:
    assert IN_THE_OPEN
    assert {name for name in KNOWN if re.search(IN_THE_OPEN[1], name)} == SECRET | {"TURNOUT_DATABASE_URL"}


def told(plan: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str | None], dict[str, str]]]:
    """Of each part: what stands in the open (None: known once it is made), and setting to version of its secrets."""
    for change in plan["resource_changes"]:
        after, unknown = change["change"]["after"], change["change"]["after_unknown"]
        match change["type"]:
            case "google_cloudfunctions2_function":
                config = after["service_config"][0]
                later = unknown["service_config"][0].get("environment_variables", {})
                secrets = {each["key"]: each["version"] for each in config["secret_environment_variables"]}
                yield after["name"], config["environment_variables"] | dict.fromkeys(later), secrets
            case "google_cloud_run_v2_job" | "google_cloud_run_v2_worker_pool":
                within = after["template"][0]
                (container,) = within.get("containers") or within["template"][0]["containers"]
                assert all(not each["value_source"] for each in container["env"])
                yield after["name"], {each["name"]: each.get("value") for each in container["env"]}, {}
            case _:
                continue


@pytest.mark.real
def test_every_part_is_told_what_the_code_reads_and_nothing_else(
    prod: dict[str, Any], tmp_path: Path
) -> None:
    parts = {name: (environment, secrets) for name, environment, secrets in told(prod)}
    assert {"turnout-dispatcher", "turnout-migrate", "turnout-webhook"} <= {*parts}
    for name, (environment, secrets) in parts.items():
        given = {each: value for each, value in environment.items() if each.startswith("TURNOUT_")}
        assert {*given, *secrets} <= KNOWN, name
        later = {each: "postgresql://later/turnout" for each, value in given.items() if value is None}
        assert {*later} <= {"TURNOUT_DATABASE_URL"}, name
        now = {each: value for each, value in given.items() if value is not None}
        read_settings(now | later | dict.fromkeys(secrets, "x") | {"TURNOUT_HOME": str(tmp_path)})


@pytest.mark.real
def test_secrets_come_by_reference_in_a_version_that_is_named(prod: dict[str, Any]) -> None:
    held: set[str] = set()
    for name, environment, secrets in told(prod):
        assert not SECRET & {*environment}, name
        assert all(version.isdecimal() for version in secrets.values()), name
        held |= {*secrets}
    assert held == {
        f"TURNOUT_{each}"
        for each in ("WEBHOOK_SECRET", "SERVER_KEY", "GITHUB_APP_KEY", "GITHUB_CLIENT_SECRET")
    }
    assert not [
        each for each in prod["resource_changes"] if each["type"].startswith("google_secret_manager_secret_v")
    ], "a value that Terraform has stands in its state"


@pytest.mark.real
def test_a_job_that_runs_the_code_of_repositories_is_told_nothing(prod: dict[str, Any]) -> None:
    jobs = {name: environment for name, environment, _ in told(prod)}
    for kind in AGENT_KINDS:
        assert jobs[f"turnout-{kind}"] == {}
