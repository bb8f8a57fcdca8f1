"""What is told to the parts otherwise than planned, since the places that Google has are others here: this table, and
nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cloud.plan import ADDRESS, NAME, PROJECT, REGION, Part

HOME = "/tmp/turnout"
WORKSPACE = "/workspace"
BROKERS = f"bootstrap.{NAME}.{REGION}.managedkafka.{PROJECT}.cloud.goog:9092"


@dataclass(frozen=True)
class Here:
    """Where what Google, GitHub and Slack have is on this machine. ``services``: planned address to ours."""

    brokers: str
    authority: Path
    database: str
    services: Mapping[str, str]
    artifacts: str
    cloudrun: str
    github: str
    slack: str

    def service(self, address: str) -> str:
        return self.services[address]


@dataclass(frozen=True)
class Place:
    """Of one process. ``workspace``: where its package is unpacked. ``metadata``: HOST:PORT of its machine's."""

    home: Path
    workspace: Path
    metadata: str


Mapped = Callable[[str, Here, Place], str]

OTHERWISE: Mapping[str, Mapped] = {
    # an instance's own memory: processes of one machine must not share it
    "TURNOUT_HOME": lambda told, _, place: _whole(told, HOME, str(place.home)),
    # where Cloud Functions unpack a source
    "TURNOUT_PROJECTS": lambda told, _, place: _begun(told, WORKSPACE, str(place.workspace)),
    "TURNOUT_KAFKA_BOOTSTRAP": lambda told, here, _: _whole(told, BROKERS, here.brokers),
    "TURNOUT_DATABASE_URL": lambda told, here, _: _once(told, f"@{ADDRESS}/", f"@{here.database}/"),
    "TURNOUT_CONSOLE_URL": lambda told, here, _: here.service(told),
    "TURNOUT_GATEWAY_URL": lambda told, here, _: here.service(told),
    "TURNOUT_GITHUB_HOOK_URL": lambda told, here, _: here.service(told),
    "TURNOUT_FUNCTION_URLS": lambda told, here, _: json.dumps(
        {function: here.service(url) for function, url in json.loads(told).items()}
    ),
}
"""Planned settings that name a place."""

BESIDES: Mapping[str, tuple[str, Callable[[Here], str]]] = {
    "TURNOUT_KAFKA_CA_FILE": ("TURNOUT_KAFKA_BOOTSTRAP", lambda here: str(here.authority)),
    "TURNOUT_ARTIFACTS_ENDPOINT": ("TURNOUT_ARTIFACTS", lambda here: here.artifacts),
    "TURNOUT_CLOUDRUN_ENDPOINT": ("TURNOUT_CLOUDRUN_JOBS", lambda here: here.cloudrun),
    "TURNOUT_GITHUB_URL": ("TURNOUT_GITHUB_APP_ID", lambda here: here.github),
    "TURNOUT_SLACK_BASE_URL": ("TURNOUT_SLACK_TOKEN", lambda here: here.slack),
}
"""Addresses that everybody knows, and that nobody is told therefore: who is told the setting beside each uses it."""


def told(part: Part, secrets: Mapping[str, str], here: Here, place: Place) -> dict[str, str]:
    """The environment of a process. ``secrets``: their values, by their names in Secret Manager."""
    found = dict(part.environment) | {setting: secrets[name] for setting, name in part.secrets.items()}
    for setting, otherwise in OTHERWISE.items():
        if setting in found:
            found[setting] = otherwise(found[setting], here, place)
    for setting, (beside, address) in BESIDES.items():
        if beside in found:
            found[setting] = address(here)
    return found | {"GCE_METADATA_HOST": place.metadata, "GCE_METADATA_IP": place.metadata}


def _whole(planned: str, expected: str, ours: str) -> str:
    assert planned == expected, f"{planned!r} is planned, {expected!r} is mapped"
    return ours


def _begun(planned: str, expected: str, ours: str) -> str:
    assert planned.startswith(expected), f"{planned!r} is planned, {expected!r} is mapped"
    return ours + planned.removeprefix(expected)


def _once(planned: str, expected: str, ours: str) -> str:
    assert planned.count(expected) == 1, f"{planned!r} is planned, {expected!r} is mapped"
    return planned.replace(expected, ours)
