"""Who may do what: what the brokers, the database and Cloud Run let each account do is what is planned, and no more;
and each right is used, or has its reason."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from kafka import errors

from tests.cloud import lists
from tests.cloud.client import admin
from tests.cloud.database import role_of
from tests.cloud.plan import NAME, PROJECT, Rule
from tests.cloud.shop import Shop
from tests.cloud.stack import Cloud
from tests.waiting import wait_until
from turnout.adapters.store.rights import EVERYTHING, WRITES, rights
from turnout.adapters.store.tables import METADATA
from turnout.core.topics import PIPELINE_EVENTS, TOPICS

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

CLIENTS = ("webhook", "gateway", "orchestrator", "sweeper", "console", "dispatcher")
STRANGERS = ("launcher", "reporter", "migrator", "scheduler", "agent")
"""Accounts that Google does not let sign in to the brokers: here the lists alone keep them out."""
HELD = {"WRITE": {"DESCRIBE"}, "READ": {"DESCRIBE"}}
"""What a right holds besides itself. Source: Kafka, "Authorization and ACLs"."""
REFUSED = (errors.TopicAuthorizationFailedError, errors.ClusterAuthorizationFailedError)


def account(part: str) -> str:
    return f"{NAME}-{part}@{PROJECT}.iam.gserviceaccount.com"


# --- the brokers ------------------------------------------------------------------------------------


def may_with_topics(cloud: Cloud, part: str) -> dict[str, set[str]]:
    """As the broker tells the account."""
    with admin(cloud, account(part)) as client:
        found = client.describe_topics([each.name for each in TOPICS])
    return {each["name"]: set(each["authorized_operations"]) for each in found if not each["error_code"]}


def planned(cloud: Cloud, part: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in cloud.plan.rules:
        if rule.principal == f"User:{account(part)}" and rule.kind == "topic":
            for topic in TOPICS:
                if rule.name in (topic.name, "*"):
                    found.setdefault(topic.name, set()).update(
                        {rule.operation, *HELD.get(rule.operation, ())}
                    )
    return found


@pytest.mark.parametrize("part", [*CLIENTS, *STRANGERS])
def test_the_brokers_let_an_account_do_with_each_topic_what_is_planned_and_no_more(
    cloud: Cloud, part: str
) -> None:
    assert may_with_topics(cloud, part) == planned(cloud, part)


@pytest.mark.parametrize("part", ["webhook", "dispatcher", "console", "agent"])
def test_no_account_makes_or_removes_a_topic(cloud: Cloud, part: str) -> None:
    with admin(cloud, account(part)) as client:
        assert make_topic(client, "evil") in REFUSED
        with pytest.raises(REFUSED):
            client.delete_topics([PIPELINE_EVENTS])


def make_topic(client: object, name: str) -> type[Exception]:
    wanted = {name: {"num_partitions": 1, "replication_factor": 1}}
    made = client.create_topics(wanted, raise_errors=False)  # type: ignore[attr-defined]
    found: type[Exception] = errors.for_code(made["topics"][0]["error_code"])
    return found


@pytest.fixture
def without(cloud: Cloud) -> Iterator[list[Rule]]:
    """Rules that are put back afterwards."""
    gone: list[Rule] = []
    yield gone
    lists.allow(cloud.broker.provider, gone)


def test_without_the_list_of_all_topics_everybody_could_make_one(cloud: Cloud, without: list[Rule]) -> None:
    for rule in [each for each in cloud.plan.rules if (each.kind, each.name) == ("topic", "*")]:
        lists.forbid(cloud.broker.provider, rule)
        without.append(rule)
    with admin(cloud, account("webhook")) as client:
        wait_until(lambda: make_topic(client, "made.by.webhook") is errors.NoError, 20, "it is made")
    with lists.provider(cloud.broker.provider) as provider:
        provider.delete_topics(["made.by.webhook"])


@pytest.mark.parametrize(
    ("part", "operation", "topic"),
    [
        ("webhook", "WRITE", PIPELINE_EVENTS),
        ("orchestrator", "WRITE", "agent.build"),
        ("console", "READ", "pipeline.dlq"),
    ],
)
def test_each_right_is_given_once(
    cloud: Cloud, without: list[Rule], part: str, operation: str, topic: str
) -> None:
    rule = Rule(f"User:{account(part)}", operation, "topic", topic)
    assert rule in cloud.plan.rules
    lists.forbid(cloud.broker.provider, rule)
    without.append(rule)
    wait_until(lambda: operation not in may_with_topics(cloud, part).get(topic, set()), 20, "it is gone")


# --- the database -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", WRITES)
def test_the_database_lets_a_role_do_with_each_table_what_its_part_does(cloud: Cloud, part: str) -> None:
    asked = "SELECT has_table_privilege(%s, %s, %s)"
    found: dict[str, set[str]] = {}
    with cloud.database.as_provider() as connection:
        for table in METADATA.tables:
            for verb in (*EVERYTHING, "TRUNCATE", "REFERENCES", "TRIGGER"):
                row = connection.execute(asked, (role_of(account(part)), table, verb)).fetchone()
                if row and row[0]:
                    found.setdefault(table, set()).add(verb)
    assert found == rights(part)


@pytest.mark.parametrize(
    ("part", "statement"),
    [
        ("reporter", "UPDATE events SET body = '{}'"),
        ("reporter", "SELECT digest FROM browser_sessions"),
        ("gateway", "UPDATE runs SET outcome = 'success'"),
        ("launcher", "DELETE FROM attempts"),
        ("webhook", "INSERT INTO events (run, version, at, kind, body) VALUES ('r', 1, 1, 'k', '')"),
        ("console", "DELETE FROM audit_log"),
        ("orchestrator", "UPDATE events SET body = '{}'"),
        ("sweeper", "ALTER TABLE runs ADD COLUMN mine text"),
        ("orchestrator", "CREATE TABLE mine (x int)"),
    ],
)
def test_the_database_refuses_what_a_part_is_not_there_for(cloud: Cloud, part: str, statement: str) -> None:
    with cloud.database.as_account(account(part)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() is not None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("part", WRITES)
def test_each_right_to_a_table_is_of_a_statement_in_the_parts_package(cloud: Cloud, part: str) -> None:
    given = {(verb, table) for table, verbs in WRITES[part].items() for verb in verbs if verb != "SELECT"}
    assert given - carried(cloud.zips[part]) == set()


def carried(package: bytes) -> set[tuple[str, str]]:
    """What the statements in a zip do to which table."""
    found: set[tuple[str, str]] = set()
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        for name in archive.namelist():
            if not name.startswith("turnout/adapters/store/") or not name.endswith(".py"):
                continue
            joined = re.sub(r'"\s*\n\s*f?"', "", archive.read(name).decode())
            for said in re.finditer(r'"(INSERT|UPDATE|DELETE)(?: INTO| FROM)? (\w+)[^"]*"', joined):
                found.add((said[1], said[2]))
                if "DO UPDATE" in said[0]:
                    found.add(("UPDATE", said[2]))
            found |= {("DELETE", table) for table in re.findall(r"\bdelete\((\w+)\)", joined)}
    return found


def test_an_account_signs_in_by_its_own_token_alone_and_encrypted(cloud: Cloud) -> None:
    theirs = cloud.accounts.token(account("webhook")).text
    place = cloud.database.place.split(":")
    for password, mode in ((theirs, "require"), ("", "require")):
        with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|no password"):
            psycopg.connect(
                host=place[0],
                port=place[1],
                dbname="turnout",
                user=role_of(account("reporter")),
                password=password,
                sslmode=mode,
            )
    with cloud.database.as_account(account("reporter")) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (
            True,
        )


# --- the functions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "function"),
    [("", "orchestrator"), ("webhook", "orchestrator"), ("dispatcher", "sweeper"), ("scheduler", "reporter")],
)
def test_who_may_not_call_a_function_is_not_let_in(cloud: Cloud, caller: str, function: str) -> None:
    url = cloud.fronts[function].url
    shown = {}
    if caller:
        shown = {"Authorization": f"Bearer {cloud.accounts.token(account(caller), url).text}"}
    assert httpx.post(url, headers=shown).status_code == 403


def test_a_token_for_one_function_opens_no_other(cloud: Cloud) -> None:
    other = cloud.fronts["orchestrator"].url
    shown = {"Authorization": f"Bearer {cloud.accounts.token(account('dispatcher'), other).text}"}
    assert httpx.post(cloud.fronts["launcher"].url, headers=shown).status_code == 403


# --- what was used ----------------------------------------------------------------------------------


SELDOM = (
    (("orchestrator", "sweeper"), "WRITE", r"agent\..*|pipeline\.events", "what its outbox holds: any task"),
    (("console",), "WRITE", r".*", "what people do: they start, cancel and approve, and put dead letters back"),
    (("console",), "READ", r"pipeline\.dlq", "shows dead letters to who looks"),
    (("console",), "DESCRIBE", r"\*", "shows how far behind the dispatcher is to who looks"),
    (("dispatcher",), "WRITE", r"pipeline\.dlq", "what no function takes: here everything was taken"),
    (("dispatcher",), "DESCRIBE", r"kafka-cluster", "a list has to have somebody on it"),
)  # fmt: skip
"""Rights that a day like this one need not use: of whom, to do what, with what, and why they are there."""


def test_each_right_of_the_brokers_was_used_or_has_its_reason(cloud: Cloud, shop: Shop) -> None:
    shop.ended([shop.push("Sell tea, to see what is used")])
    used = lists.asked(cloud.broker.decisions)
    unused = {rule for rule in cloud.plan.rules if not any(covers(rule, each) for each in used)}
    reasons = {
        Rule(f"User:{account(part)}", operation, rule.kind, rule.name)
        for parts, operation, names, _ in SELDOM
        for part in parts
        for rule in cloud.plan.rules
        if re.fullmatch(names, rule.name)
    }
    assert unused - reasons == set()
    assert len(cloud.plan.rules) - len(unused) > 20


def covers(rule: Rule, used: Rule) -> bool:
    return (rule.principal, rule.operation, rule.kind) == (
        used.principal,
        used.operation,
        used.kind,
    ) and rule.name in (used.name, "*")
