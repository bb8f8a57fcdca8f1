"""What Terraform plans for the environment dev: the parts, what each is told, as whom it runs, who may do what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.places import Place

PROJECT, REGION = "shop-ci", "europe-west1"
NAME = "turnout-dev"
ADDRESS = "10.20.0.3"
"""The database's, which Google gives once there is one."""
PATTERNS = {
    "cluster": ("cluster", "kafka-cluster"),
    "allTopics": ("topic", "*"),
    "allConsumerGroups": ("group", "*"),
    "topic": ("topic", ""),
    "consumerGroup": ("group", ""),
}
"""How Google names a list, and what Kafka calls what it is of. Source: Managed Kafka's API, "Acl", `acl_id`"""
VARIABLES = {
    "project": PROJECT,
    "project_number": "123456789012",
    "region": REGION,
    "image_tag": "4f2a90c1d3e5",
    "github_app": {"id": "12345", "client_id": "Iv1.0123456789abcdef"},
    "admins": ["ada"],
    "alert_emails": ["ops@example.org"],
    "optional_secrets": ["slack-token", "slack-signing-secret"],
}


@dataclass(frozen=True)
class Part:
    """``account``: its address. ``secrets``: setting to the secret that holds it. ``command``: of a container."""

    name: str
    account: str
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """A function. ``callers``: the accounts that Cloud Run lets in, or ``allUsers``. ``most``: instances."""

    part: Part
    url: str
    callers: frozenset[str]
    most: int


@dataclass(frozen=True, order=True)
class Rule:
    """One entry of Kafka's lists: ``kind`` is topic, group or cluster; ``name`` `*` holds for every one."""

    principal: str
    operation: str
    kind: str
    name: str


@dataclass(frozen=True)
class Topic:
    name: str
    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """``name``: in full. ``account``: whose it is. ``image``: what it runs. ``retries``: Cloud Run's own."""

    name: str
    account: str
    image: str
    retries: int


@dataclass(frozen=True)
class Plan:
    services: Mapping[str, Service]
    dispatcher: Part
    migration: Part
    rules: frozenset[Rule]
    topics: tuple[Topic, ...]
    roles: Mapping[str, tuple[str, ...]]
    """Of the database: account to the roles that its own is in."""
    bucket: str
    jobs: tuple[Job, ...]
    scheduler: tuple[str, str]
    """The account that calls the sweeper, and the address that it calls."""


def planned(folder: Path, packages: Mapping[str, bytes]) -> Plan:
    """``packages``: function to zip. The plan is made in ``folder``."""
    place = Place.under(folder)
    for function, content in packages.items():
        (folder / "build" / "functions" / f"{function}.zip").write_bytes(content)
    outputs = place.files / "modules/state/outputs.tf"
    unknown = "${google_sql_database_instance.this.private_ip_address}"
    assert unknown in outputs.read_text()
    outputs.write_text(outputs.read_text().replace(unknown, ADDRESS))
    root = "environments/dev"
    place.done(root, "init", "-no-color")
    (place.files / root / "tests/example.tfvars").unlink()
    (place.files / root / "cloud.auto.tfvars.json").write_text(json.dumps(VARIABLES))
    place.done(root, "plan", "-no-color", "-out=plan")
    found = json.loads(place.done(root, "show", "-json", "plan"))
    shutil.rmtree(folder / "infra")
    return read(found)


def read(plan: Mapping[str, Any]) -> Plan:
    (pool,) = made(plan, "google_cloud_run_v2_worker_pool")
    jobs = {each["name"].removeprefix(f"{NAME}-"): each for each in made(plan, "google_cloud_run_v2_job")}
    migration = jobs.pop("migrate")["template"][0]["template"][0]
    (clock,) = made(plan, "google_cloud_scheduler_job")
    (target,) = clock["http_target"]
    (bucket,) = (
        name for each in made(plan, "google_storage_bucket") if (name := each["name"]).endswith("-artifacts")
    )
    return Plan(
        services={each.part.name: each for each in _services(plan)},
        dispatcher=_container("dispatcher", pool["template"][0]),
        migration=_container("migration", migration),
        rules=frozenset(_rules(plan)),
        topics=tuple(
            Topic(each["topic_id"], each["partition_count"], each["configs"])
            for each in made(plan, "google_managed_kafka_topic")
        ),
        roles={each["name"]: tuple(each["database_roles"] or ()) for each in made(plan, "google_sql_user")},
        bucket=bucket,
        jobs=tuple(_job(each) for each in jobs.values()),
        scheduler=(target["oidc_token"][0]["service_account_email"], target["uri"]),
    )


def made(plan: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    yield from (each["change"]["after"] for each in plan["resource_changes"] if each["type"] == kind)


def _services(plan: Mapping[str, Any]) -> Iterator[Service]:
    callers: dict[str, set[str]] = {}
    for each in made(plan, "google_cloud_run_v2_service_iam_member"):
        assert each["role"] == "roles/run.invoker"
        callers.setdefault(each["name"], set()).add(each["member"].removeprefix("serviceAccount:"))
    for each in made(plan, "google_cloudfunctions2_function"):
        (config,) = each["service_config"]
        function = each["build_config"][0]["entry_point"]
        secrets = {one["key"]: one["secret"] for one in config["secret_environment_variables"]}
        part = Part(function, config["service_account_email"], config["environment_variables"], secrets)
        url = f"https://{each['name']}-{VARIABLES['project_number']}.{REGION}.run.app"
        yield Service(part, url, frozenset(callers[each["name"]]), config["max_instance_count"])


def _container(name: str, template: Mapping[str, Any]) -> Part:
    (container,) = template["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    command = (*container["command"], *(container.get("args") or ()))
    return Part(name, template["service_account"], told, {}, command)


def _job(job: Mapping[str, Any]) -> Job:
    task = job["template"][0]["template"][0]
    (container,) = task["containers"]
    name = f"projects/{job['project']}/locations/{job['location']}/jobs/{job['name']}"
    return Job(name, task["service_account"], container["image"], task["max_retries"])


def _rules(plan: Mapping[str, Any]) -> Iterator[Rule]:
    for each in made(plan, "google_managed_kafka_acl"):
        pattern, _, name = each["acl_id"].partition("/")
        kind, name = PATTERNS[pattern][0], PATTERNS[pattern][1] or name
        for entry in each["acl_entries"]:
            assert (entry["permission_type"], entry["host"]) == ("ALLOW", "*")
            yield Rule(entry["principal"], entry["operation"], kind, name)
