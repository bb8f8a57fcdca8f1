"""A broker that takes the tokens of Google's managed Kafka and keeps lists: who comes in, and what they may do then."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth.compute_engine import Credentials
from google.auth.transport.requests import Request
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from local.certificates import authority
from local.google.accounts import Accounts
from local.kafka import broker
from local.kafka.broker import Broker
from local.kafka.guard import Guard
from tests.real import require
from tests.waiting import wait_until
from turnout.adapters.kafka import KafkaBus, KafkaSettings
from turnout.adapters.kafka_auth import GoogleTokenProvider, encode_token
from turnout.core.envelope import Record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.topics import HOUR, Topic

pytestmark = pytest.mark.real

ADA, BOB = (f"turnout-{name}@acme-turnout.iam.gserviceaccount.com" for name in ("ada", "bob"))


@pytest.fixture(scope="module")
def accounts() -> Iterator[Accounts]:
    with Accounts() as found:
        yield found


@pytest.fixture(scope="module")
def running(accounts: Accounts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Path]]:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    trusted = authority()
    ca = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.write_text(trusted.pem)
    with Broker(guarded=Guard(accounts.tokeninfo, trusted)) as started:
        yield started, ca


class Place:
    """A topic of its own, that ADA may write and read; whoever comes there comes as an account."""

    def __init__(self, running: tuple[Broker, Path]) -> None:
        self.broker, self._ca = running
        self.topic = Topic(f"test.{uuid.uuid4().hex}", "", 1, HOUR, "a test")
        KafkaBus(KafkaSettings(self.broker.provider, replication_factor=1), [self.topic]).ensure_topics()
        allow(self.broker, ResourceType.TOPIC, self.topic.name, ADA, ACLOperation.WRITE)
        allow(self.broker, ResourceType.TOPIC, self.topic.name, ADA, ACLOperation.READ)

    def settings(self) -> KafkaSettings:
        return KafkaSettings(
            self.broker.bootstrap,
            "SASL_SSL",
            "OAUTHBEARER",
            ca_file=str(self._ca),
            token_provider="google",
            connect_timeout=3.0,
        )

    def bus(self, tokens: GoogleTokenProvider) -> KafkaBus:
        return KafkaBus(self.settings(), [self.topic], tokens)

    def record(self, value: str = "a") -> Record:
        return Record(self.topic.name, "k", value.encode())


@pytest.fixture
def place(running: tuple[Broker, Path], accounts: Accounts) -> Place:
    accounts.lasts, accounts.early = 3600.0, 300.0
    accounts.revoke(ADA)
    return Place(running)


def allow(broker: Broker, kind: ResourceType, name: str, email: str, operation: ACLOperation) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.provider)
    rule = ACL(f"User:{email}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name))
    made = admin.create_acls([rule])
    admin.close()
    assert not made["failed"], made


def of(
    accounts: Accounts, email: str, monkeypatch: pytest.MonkeyPatch, *, margin: float = 300
) -> GoogleTokenProvider:
    """The provider of the product, on a machine that runs as the account."""
    monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", accounts.metadata(email))
    credentials: Any = Credentials()  # type: ignore[no-untyped-call]
    return GoogleTokenProvider(credentials, Request(), margin=margin, pause=0.1)


class Fixed(GoogleTokenProvider):
    """Says what it is told to."""

    def __init__(self, text: str) -> None:
        super().__init__(object())  # type: ignore[arg-type]
        self.text = text

    def prepare(self) -> None: ...

    def token(self) -> str:
        return self.text


def said(access: str, email: str, *, lasts: float = 3600) -> Fixed:
    now = time.time()
    return Fixed(encode_token(access, email, issued=now - 10, expires=now + lasts))


def test_an_account_is_let_in_by_its_token_and_may_do_what_the_list_says(
    place: Place, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = place.bus(of(accounts, ADA, monkeypatch))
    producer = bus.producer()
    producer.publish([place.record()])
    producer.close()
    tail = bus.tail([place.topic.name], from_start=True)
    assert [each.record.value for each in tail.poll(10)] == [b"a"]
    tail.close()


@pytest.mark.parametrize("why", ["expired", "of somebody else", "of nobody", "revoked", "another kind"])
def test_a_token_that_is_not_good_is_refused(place: Place, accounts: Accounts, why: str) -> None:
    good = accounts.token(ADA).text
    match why:
        case "expired":
            tokens = said(good, ADA, lasts=-1)
        case "of somebody else":
            tokens = said(accounts.token(BOB).text, ADA)
        case "of nobody":
            tokens = said("ya29.made-up", ADA)
        case "revoked":
            tokens = said(good, ADA)
            accounts.revoke(ADA)
        case _:
            tokens = said(good, ADA)
            tokens.text = "eyJhbGciOiJub25lIn0." + tokens.text.split(".", 1)[1]
    with pytest.raises((PermanentError, TransientError)) as caught:
        place.bus(tokens).producer().publish([place.record()])
    assert "let us in" in str(caught.value) or "SASL" in caught.value.hint


def test_who_is_on_no_list_of_a_topic_neither_writes_nor_reads_it_nor_sees_that_it_is_there(
    place: Place, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = place.bus(of(accounts, BOB, monkeypatch))
    with pytest.raises(PermanentError, match="TopicAuthorizationFailed"):
        bus.producer().publish([place.record()])
    with pytest.raises((PermanentError, TransientError), match=r"TopicAuthorizationFailed|no topic"):
        bus.tail([place.topic.name])
    refused = [each for each in place.broker.decisions.read_text().splitlines() if BOB in each]
    assert refused
    assert all("is Denied" in each for each in refused if place.topic.name in each)


def test_a_token_is_renewed_ahead_of_time_and_no_connection_is_lost_for_it(
    place: Place, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts.lasts, accounts.early = 4.0, 3.0
    tokens = of(accounts, ADA, monkeypatch, margin=2.5)
    producer = place.bus(tokens).producer()
    producer.publish([place.record("first")])
    made, asked = connections(place.broker.port), len(accounts.asked)
    first = accounts.token(ADA).text
    assert made
    wait_until(lambda: accounts.owner(first) == "" and len(accounts.asked) > asked + 2, 20, "renewals")
    producer.publish([place.record("second")])
    assert connections(place.broker.port) == made
    accounts.revoke(ADA)
    tokens.close()
    wait_until(lambda: not connections(place.broker.port) & made, 20, "who is not renewed is cut off")
    producer.close()


def connections(port: int) -> set[str]:
    """Local ends of those that are open from here to a port."""
    lines = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return {local for _, local, remote, state, *_ in lines if (remote[-4:], state) == (f"{port:04X}", "01")}
