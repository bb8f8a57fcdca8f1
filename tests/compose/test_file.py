"""The compose file says what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.compose.engine import FILE
from local.compose.state import GIVEN, MADE
from turnout.adapters.settings import POSTED, PREFIX, Settings

ROOT = FILE.parents[1]
DEMO = FILE.parent / "compose/demo.yaml"
CLOUD = ROOT / "infra/terraform/modules/turnout/secrets.tf"
FUNCTIONS = sorted(each.parent.name for each in (ROOT / "functions").glob("*/main.py"))
WHOLE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = WHOLE["services"]
BESIDE: dict[str, dict[str, Any]] = yaml.safe_load(DEMO.read_text())["services"]
EVERY = SERVICES | BESIDE
PUBLISHED = {"webhook", "console", "grafana", "mailbox"}


def secrets_of(service: str) -> set[str]:
    given = SERVICES[service].get("secrets", [])
    return {each if isinstance(each, str) else each["source"] for each in given}


def test_every_function_is_a_service_that_serves_it() -> None:
    for name in FUNCTIONS:
        command = SERVICES[name]["command"]
        assert command[:3] == [
            "functions-framework",
            f"--source=functions/{name}/main.py",
            f"--target={name}",
        ]
    ours = {name for name, each in SERVICES.items() if "turnout:" in each["image"]}
    assert ours == {*FUNCTIONS, "migrate", "dispatcher", "engine"}


@pytest.mark.parametrize("name", EVERY)
def test_every_variable_is_a_setting_that_there_is(name: str) -> None:
    given = [each for each in EVERY[name].get("environment", {}) if each.startswith(PREFIX)]
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert {each.removesuffix("_FILE") for each in given} <= known


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_given_the_secrets_that_it_reads_and_no_others(name: str) -> None:
    values = [str(each) for each in SERVICES[name].get("environment", {}).values()]
    read = {each.removeprefix("/run/secrets/") for each in values if each.startswith("/run/secrets/")}
    elsewhere = {each["source"] for each in SERVICES[name].get("secrets", []) if isinstance(each, dict)}
    assert secrets_of(name) == read | elsewhere


def test_every_secret_is_made_once() -> None:
    assert set(WHOLE["secrets"]) == {*MADE, *GIVEN}
    assert {secret for name in SERVICES for secret in secrets_of(name)} == set(WHOLE["secrets"])


def test_functions_have_the_secrets_that_they_have_in_the_cloud() -> None:
    """And those that the cloud has other ways for: the database's password, the token of the functions."""
    table = re.findall(r'\{ setting = "TURNOUT_(\w+)", to = \[([^]]*)\] \}', CLOUD.read_text())
    assert len(table) >= 7
    for setting, readers in table:
        there = set(re.findall(r'"(\w+)"', readers))
        here = {name for name in FUNCTIONS if setting.lower() in secrets_of(name)}
        assert here == there, setting
    for name in FUNCTIONS:
        assert {"database_password", "function_token"} <= secrets_of(name)
        assert ("github_app_key" in secrets_of(name)) == ("github_token" in secrets_of(name))


@pytest.mark.parametrize("name", EVERY)
def test_every_container_is_held_in(name: str) -> None:
    each = EVERY[name]
    assert each["read_only"] is True
    assert each["cap_drop"] == ["ALL"]
    assert "cap_add" not in each
    assert "privileged" not in each
    assert each["security_opt"] == ["no-new-privileges:true"]
    limits = each["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert "stop_grace_period" in each
    assert each["profiles"] in (["core"], ["observability"])
    assert each.get("user", "10001").partition(":")[0] not in ("0", "root")


@pytest.mark.parametrize("name", EVERY)
def test_what_lives_says_whether_it_does_and_is_started_again(name: str) -> None:
    if name == "migrate":
        assert SERVICES[name]["restart"] == "no"
        return
    assert EVERY[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert "start_interval" not in EVERY[name]["healthcheck"], "engines older than 25 know none"
    if name in SERVICES:
        assert EVERY[name]["restart"] == "unless-stopped"


def test_images_of_others_are_of_one_version_each() -> None:
    others = [each["image"] for each in SERVICES.values() if "turnout:" not in each["image"]]
    assert len(others) == 6
    for image in others:
        assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", image), image


def test_only_what_people_need_is_published_and_to_this_machine_alone() -> None:
    ports = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert set(ports) == PUBLISHED
    for (port,) in ports.values():
        assert port.startswith("${PUBLISH:-127.0.0.1}:"), port
    assert BESIDE["slack"]["ports"][0].startswith("127.0.0.1:")


def test_jobs_reach_the_gateway_and_only_the_door_has_the_engines_socket() -> None:
    networks = {name: each["networks"] for name, each in SERVICES.items()}
    assert [name for name, each in networks.items() if "jobs" in each] == ["gateway"]
    assert sorted(name for name, each in networks.items() if "engine" in each) == [
        "engine",
        "launcher",
        "sweeper",
    ]
    assert networks["engine"] == ["engine"]
    assert WHOLE["networks"]["backend"]["internal"]
    assert WHOLE["networks"]["engine"]["internal"]
    with_socket = [name for name, each in EVERY.items() if "docker.sock" in str(each.get("volumes", ""))]
    assert with_socket == ["engine"]
    launcher, door = SERVICES["launcher"]["environment"], SERVICES["engine"]["environment"]
    assert door.items() <= launcher.items(), "what the launcher asks is what the door lets through"
    assert launcher["TURNOUT_DOCKER_NETWORK"] == WHOLE["networks"]["jobs"]["name"]


def test_nobody_has_two_ways_out() -> None:
    """Engines take the first by name as the way to everywhere, and not all of them lead there."""
    inside = {name for name, each in WHOLE["networks"].items() if (each or {}).get("internal")}
    for name, each in SERVICES.items():
        assert len(set(each["networks"]) - inside) <= 1, name


def test_the_dispatcher_knows_every_function_that_it_posts_to() -> None:
    urls = json.loads(SERVICES["dispatcher"]["environment"]["TURNOUT_FUNCTION_URLS"])
    assert urls == {name: f"http://{name}:8080" for name in POSTED}


def test_what_watches_is_provisioned_from_the_files_that_are_tested_elsewhere() -> None:
    scraped = yaml.safe_load((FILE.parent / "prometheus/prometheus.yml").read_text())
    assert scraped["scrape_configs"][0]["static_configs"] == [{"targets": ["console:8080"]}]
    assert scraped["alerting"]["alertmanagers"][0]["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    token = scraped["scrape_configs"][0]["authorization"]["credentials_file"]
    assert SERVICES["prometheus"]["secrets"] == [
        {"source": "metrics_token", "target": f"/etc/prometheus/{token}"}
    ]
    assert (
        f"./prometheus/{scraped['rule_files'][0]}:/etc/prometheus/{scraped['rule_files'][0]}:ro"
        in (SERVICES["prometheus"]["volumes"])
    )
    provisioning = FILE.parent / "grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/turnout.yml").read_text())["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_everything_that_is_mounted_from_the_checkout_is_there() -> None:
    for each in SERVICES.values():
        for volume in each.get("volumes", ()):
            if volume.startswith("./"):
                assert (FILE.parent / Path(volume.partition(":")[0])).exists(), volume
