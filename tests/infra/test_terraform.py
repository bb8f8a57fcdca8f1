"""The Terraform of Google Cloud, by a real Terraform and the real provider's schema, without a network."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.terraform.rights import EVERYBODY, rights
from local.terraform.topics import FILE, text
from tests.infra.places import FILES, ROOT, ROOTS, Place
from tests.real import require
from turnout.adapters.settings import Settings, read_settings
from turnout.core.topics import TOPICS
from turnout.stack.layout import CONSOLE, FUNCTIONS

DOCS = ROOT / "docs" / "deploy-gcp.md"


def test_the_topics_of_terraform_are_those_of_the_code() -> None:
    assert FILE.read_text() == text(), "run `make docs`"


def test_every_part_is_checked() -> None:
    parts = (
        "agent_jobs",
        "artifacts",
        "dispatcher",
        "function",
        "kafka",
        "network",
        "observability",
        "secrets",
    )
    modules = {f"modules/{each}" for each in (*parts, "state", "turnout")}
    assert {*ROOTS} == modules | {"environments/dev", "environments/prod"}


@pytest.mark.real
@pytest.mark.parametrize("root", ROOTS)
def test_it_is_valid_passes_its_tests_and_can_be_planned(place: Place, root: str) -> None:
    place.done(root, "init", "-no-color")
    assert json.loads(place.done(root, "validate", "-json"))["diagnostics"] == []
    assert re.search(
        r"Success! [1-9]\d* passed, 0 failed",
        place.done(root, "test", "-no-color", "-var-file=tests/example.tfvars"),
    )
    assert re.search(
        r"Plan: [1-9]\d* to add, 0 to change, 0 to destroy",
        place.done(root, "plan", "-no-color", "-var-file=tests/example.tfvars"),
    )


@pytest.mark.real
def test_the_files_are_formatted(place: Place) -> None:
    assert place.run(".", "fmt", "-check", "-recursive").stdout == ""


@pytest.mark.real
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("vcpu_count ", "vcpu_counts ", 'An argument named "vcpu_counts" is not expected here'),
        ("  cluster_id = var.name\n", "", 'The argument "cluster_id" is required'),
        ("gcp_config {", "gcp_configuration {", 'Blocks of type "gcp_configuration" are not expected here'),
        (
            '"google_managed_kafka_cluster" "this"',
            '"google_managed_kafka_kluster" "this"',
            "does not support resource type",
        ),
        (
            "partition_count    = each.value.partitions",
            'partition_count    = ["six"]',
            "Incorrect attribute value type",
        ),
    ],
)
def test_a_planted_mistake_fails_the_check_and_is_named_with_its_line(
    scratch: Place, right: str, wrong: str, said: str
) -> None:
    file = scratch.files / "modules/kafka/main.tf"
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    checked = scratch.run("modules/kafka", "validate", "-json")
    assert checked.returncode == 1
    found = [
        each for each in json.loads(checked.stdout)["diagnostics"] if said in each["summary"] + each["detail"]
    ]
    assert found, checked.stdout
    assert found[0]["range"]["filename"] == "main.tf"


@pytest.mark.real
@pytest.mark.parametrize(
    ("module", "right", "wrong", "said"),
    [
        # the descriptions of the provider's schema say the values
        ("agent_jobs", '"ALL_TRAFFIC"', '"ALL"', "expected egress to be one of ['ALL_TRAFFIC'"),
        # local/terraform/refused.py does
        ("state", '"ENCRYPTED_ONLY"', '"ENCRYPTED"', "expected ssl_mode to be one of"),
        ("state", "hour         = 4", "hour         = 24", "in the range (0 - 23), got 24"),
        ("kafka", "AUTO_REBALANCE_ON_SCALE_UP", "ALWAYS", "expected mode to be one of"),
    ],
)
def test_a_value_that_the_provider_refuses_is_refused(
    scratch: Place, module: str, right: str, wrong: str, said: str
) -> None:
    changed = [
        file for file in (scratch.files / "modules" / module).glob("*.tf") if right in file.read_text()
    ]
    for file in changed:
        file.write_text(file.read_text().replace(right, wrong))
    checked = scratch.run(f"modules/{module}", "validate", "-json")
    found = [
        each for each in json.loads(checked.stdout)["diagnostics"] if said in each["summary"] + each["detail"]
    ]
    assert found, checked.stdout
    assert found[0]["range"]["filename"] in {file.name for file in changed}


@pytest.mark.real
def test_what_is_refused_only_once_variables_are_known_fails_the_plan(scratch: Place) -> None:
    file = scratch.files / "modules/kafka/access.tf"
    file.write_text(file.read_text().replace('"WRITE"', '"PUT"'))
    planned = scratch.run("modules/kafka", "plan", "-no-color", "-var-file=tests/example.tfvars")
    assert planned.returncode == 1
    assert "expected operation to be one of" in planned.stdout + planned.stderr


@pytest.mark.real
def test_a_planted_assertion_fails_the_tests(scratch: Place) -> None:
    file = scratch.files / "modules/agent_jobs/main.tf"
    file.write_text(re.sub(r"max_retries( +)= 0", r"max_retries\1= 3", file.read_text()))
    tested = scratch.run("modules/agent_jobs", "test", "-no-color", "-var-file=tests/example.tfvars")
    assert tested.returncode == 1
    assert "Turnout counts the tries." in tested.stdout + tested.stderr


def made(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each["change"]["after"] for each in plan["resource_changes"] if each["type"] == kind]


@pytest.mark.real
def test_the_topics_are_made_as_the_code_has_them(prod: dict[str, Any]) -> None:
    found = {
        each["topic_id"]: (each["partition_count"], int(each["configs"]["retention.ms"]))
        for each in made(prod, "google_managed_kafka_topic")
    }
    assert found == {each.name: (each.partitions, each.retention * 1000) for each in TOPICS}


@pytest.mark.real
def test_the_internet_reaches_the_webhook_and_the_console_alone(prod: dict[str, Any]) -> None:
    functions = {each["name"]: each for each in made(prod, "google_cloudfunctions2_function")}
    assert {*functions} == {f"turnout-{each}" for each in (*FUNCTIONS, CONSOLE)}
    assert {
        name
        for name, each in functions.items()
        if each["service_config"][0]["ingress_settings"] == "ALLOW_ALL"
    } == {
        "turnout-webhook",
        "turnout-console",
    }
    (database,) = made(prod, "google_sql_database_instance")
    assert database["settings"][0]["ip_configuration"][0]["ipv4_enabled"] is False
    assert rights(prod)[EVERYBODY] == {"call webhook", "call console", "call gateway"}


@pytest.mark.real
def test_each_function_runs_as_itself_with_settings_that_are_valid(
    prod: dict[str, Any], tmp_path: Path
) -> None:
    known = {f"TURNOUT_{name.upper()}" for name in Settings.model_fields}
    for each in made(prod, "google_cloudfunctions2_function"):
        config = each["service_config"][0]
        assert config["service_account_email"] == f"{each['name']}@acme-turnout.iam.gserviceaccount.com"
        given = {
            name: value
            for name, value in config["environment_variables"].items()
            if name.startswith("TURNOUT_")
        }
        secrets = {secret["key"] for secret in config["secret_environment_variables"]}
        assert {*given, *secrets} <= known
        later = {"TURNOUT_HOME": str(tmp_path), "TURNOUT_DATABASE_URL": "postgresql://known/later"}
        read_settings(given | dict.fromkeys(secrets, "x") | later)


@pytest.mark.real
def test_one_job_changes_the_tables_and_the_functions_wait_for_it(prod: dict[str, Any]) -> None:
    (job,) = [each for each in made(prod, "google_cloud_run_v2_job") if each["name"] == "turnout-migrate"]
    task = job["template"][0]["template"][0]
    (container,) = task["containers"]
    assert (container["command"], task["service_account"]) == (
        ["turnout", "migrate"],
        "turnout-migrator@acme-turnout.iam.gserviceaccount.com",
    )
    assert {each["name"] for each in container["env"]} == {
        "TURNOUT_HOME",
        "TURNOUT_DATABASE_URL",
        "TURNOUT_DATABASE_IDENTITY",
        "TURNOUT_DATABASE_ROLES",
    }
    owners = [each["name"] for each in made(prod, "google_sql_user") if each["database_roles"]]
    assert owners == ["turnout-migrator@acme-turnout.iam"]
    for each in made(prod, "google_cloudfunctions2_function"):
        assert each["service_config"][0]["environment_variables"]["TURNOUT_MIGRATE"] == "job"


@pytest.mark.real
def test_the_docs_tell_who_may_do_what(prod: dict[str, Any]) -> None:
    rows = re.findall(r"^\| (\w+) \| ((?:`[^`]+`(?:, )?)+) \|", DOCS.read_text(), re.M)
    told = {account: frozenset(re.findall(r"`([^`]+)`", may)) for account, may in rows}
    assert told == rights(prod)
    assert "agent" not in told, "agents run the code of repositories: they may do nothing"


def found_by_trivy(files: Path, cache: Path) -> list[str]:
    where = subprocess.run(
        [ROOT / "local/setup/scanners.sh", "--where"], capture_output=True, text=True, check=True
    )
    trivy = Path(where.stdout.strip()) / "trivy"
    require("Trivy", trivy.exists(), "run `make real-parts`")
    scanned = subprocess.run(
        [trivy, "config", "--quiet", "--skip-check-update", "--cache-dir", cache, "--format", "json", files],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    results = json.loads(scanned.stdout).get("Results", [])
    return [found["Title"] for each in results for found in each.get("Misconfigurations", [])]


@pytest.mark.real
def test_trivy_finds_nothing_but_what_has_its_reason_beside_it(tmp_path: Path) -> None:
    assert found_by_trivy(FILES, tmp_path) == []
    for file in FILES.rglob("*.tf"):
        for line in file.read_text().splitlines():
            assert "trivy:ignore" not in line or len(line.split()) > 3, f"{file}: {line}: say why"


@pytest.mark.real
def test_trivy_finds_a_planted_hole(scratch: Place, tmp_path: Path) -> None:
    file = scratch.files / "modules/state/main.tf"
    file.write_text(re.sub(r"ipv4_enabled( +)= false", r"ipv4_enabled\1= true", file.read_text()))
    assert found_by_trivy(scratch.files, tmp_path / "cache")
