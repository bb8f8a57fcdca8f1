"""Topics and lists as the plan has them, made on a broker; and what its authorizer was asked by whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from tests.cloud.plan import Plan, Rule

ALONE = {"min.insync.replicas": "1"}
"""Of three brokers two have to have a record; here there is one."""
PROVIDERS = frozenset({"User:ANONYMOUS"})
PROBED = frozenset({("IDEMPOTENT_WRITE", "kafka-cluster"), ("WRITE", "hardcode")})
"""What the broker asks before it looks whether a producer may write any topic at all: either answer is good."""
_SAID = re.compile(
    r"Principal = (?P<principal>\S+) is (?P<verdict>Allowed|Denied) operation = (?P<operation>\w+) from host = \S+ "
    r"(?:via listener \S+ )?on resource = (?P<kind>\w+):LITERAL:(?P<name>\S+)",
    re.IGNORECASE,
)


@contextmanager
def provider(place: str) -> Iterator[Any]:
    client = KafkaAdminClient(bootstrap_servers=place)
    try:
        yield client
    finally:
        client.close()


def make(place: str, plan: Plan) -> None:
    with provider(place) as admin:
        admin.create_topics(
            {
                each.name: {
                    "num_partitions": each.partitions,
                    "replication_factor": 1,
                    "configs": {**each.settings, **ALONE},
                }
                for each in plan.topics
            }
        )
    allow(place, plan.rules)


def allow(place: str, rules: Iterable[Rule]) -> None:
    with provider(place) as admin:
        done = admin.create_acls([_acl(each) for each in rules])
    assert not done["failed"], done


def forbid(place: str, rule: Rule) -> None:
    with provider(place) as admin:
        done = admin.delete_acls([_acl(rule)])
    assert [len(matching) for _, matching, _ in done] == [1], done


def asked(decisions: Path, verdict: str = "allowed") -> set[Rule]:
    """What was allowed, or denied: not to the provider, and each with the topic's own name."""
    found = set()
    for line in decisions.read_text(errors="replace").splitlines():
        said = _SAID.search(line)
        if said and said["verdict"].lower() == verdict and said["principal"] not in PROVIDERS:
            if (said["operation"], said["name"]) in PROBED:
                continue
            found.add(Rule(said["principal"], said["operation"].upper(), said["kind"].lower(), said["name"]))
    return found


def _acl(rule: Rule) -> ACL:
    kind = ResourceType[rule.kind.upper()]
    return ACL(
        rule.principal,
        "*",
        ACLOperation[rule.operation],
        ACLPermissionType.ALLOW,
        ResourcePattern(kind, rule.name),
    )
