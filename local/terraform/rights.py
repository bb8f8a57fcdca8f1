"""Who may do what, as a plan of an environment has it: for docs/deploy-gcp.md, which a test holds to it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from turnout.core.topics import AGENT_KINDS, agent_topic

EVERYBODY = "everybody"
OPERATIONS = {"WRITE": "write", "READ": "read", "DESCRIBE": "see"}


def rights(plan: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Account, without the environment's name, to what it may do. ``plan``: of ``terraform show -json``."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for change in plan["resource_changes"]:
        for member, right in _granted(change["type"], change["change"]["after"]):
            found[_account(member)].add(right)
    return {account: frozenset(_shortened(given)) for account, given in found.items()}


def _granted(kind: str, after: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    match kind:
        case "google_managed_kafka_acl":
            pattern, _, name = after["acl_id"].partition("/")
            what = {
                "topic": name,
                "consumerGroup": f"group {name}",
                "cluster": "the cluster",
                "allTopics": "every topic",
                "allConsumerGroups": "every group",
            }[pattern]
            for entry in after["acl_entries"]:
                yield entry["principal"], f"{OPERATIONS[entry['operation']]} {what}"
        case "google_cloud_run_v2_service_iam_member":
            yield after["member"], f"call {_last(after['name'])}"
        case "google_cloud_run_v2_job_iam_member":
            yield after["member"], f"{_last(after['role'], '_')} of {_last(after['name'])}"
        case "google_secret_manager_secret_iam_member":
            yield after["member"], f"{_role(after)} {after['secret_id'].removeprefix('turnout-')}"
        case "google_storage_bucket_iam_member":
            yield after["member"], f"{_role(after)} {_last(after['bucket'])}"
        case "google_service_account_iam_member":
            owner = _account(f"serviceAccount:{_last(after['service_account_id'], '/')}")
            yield after["member"], f"{_role(after)} {owner}"
        case _ if kind.endswith("_iam_member"):
            yield after["member"], _role(after)
        case "google_project_iam_custom_role" | "google_project_iam_audit_config":
            return
        case _ if "_iam_" in kind:
            raise ValueError(f"{kind} grants something that this does not know")
        case _:
            return


def _shortened(given: Iterable[str]) -> Iterator[str]:
    """What holds for all agents is said once."""
    given = set(given)
    for verb in ("write", "read", "see"):
        topics = {f"{verb} {agent_topic(kind)}" for kind in AGENT_KINDS}
        if topics <= given:
            given = given - topics | {f"{verb} agent.<kind>"}
    jobs = {f"launcher of {kind}" for kind in AGENT_KINDS}
    if jobs <= given:
        given = given - jobs | {"launcher of each agent's job"}
    yield from given


def _account(member: str) -> str:
    if member == "allUsers":
        return EVERYBODY
    found = re.fullmatch(
        r"(?:serviceAccount|User):turnout-([a-z]+)@[a-z0-9-]+\.iam\.gserviceaccount\.com", member
    )
    if found is None:
        raise ValueError(f"{member!r} is no account of ours")
    return found[1]


def _role(after: Mapping[str, Any]) -> str:
    return str(after["role"]).removeprefix("roles/")


def _last(name: str, sign: str = "-") -> str:
    return name.rpartition(sign)[2]
