"""Tokens for Google's managed Kafka: their form, and that one is ready before the old one expires."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.waiting import wait_until
from turnout.adapters.kafka_auth import GoogleTokenProvider, encode_token
from turnout.adapters.kafka_settings import KafkaSettings
from turnout.core.errors import PermanentError, TransientError

NOW = 1_772_368_205.0


@dataclass
class FakeCredentials:
    """Each refresh gives a token with the next number, valid for ``lasts`` seconds from the clock's time."""

    clock: list[float]
    lasts: float = 3600
    fails: bool = False
    email: str | None = "ci@shop.iam.gserviceaccount.com"
    token: str | None = None
    expiry: datetime | None = None
    refreshed: int = 0
    asked_by: list[str] = field(default_factory=list)

    @property
    def service_account_email(self) -> str | None:
        return self.email if self.refreshed else "default"

    def refresh(self, request: object) -> None:
        self.asked_by.append(threading.current_thread().name)
        if self.fails:
            raise OSError("metadata server unreachable")
        self.refreshed += 1
        self.token = f"access-{self.refreshed}"
        self.expiry = datetime.fromtimestamp(self.clock[0] + self.lasts, UTC).replace(tzinfo=None)


def decode(part: str) -> Any:
    return json.loads(plain(part))


def plain(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.fixture
def clock() -> list[float]:
    return [NOW]


@pytest.fixture
def credentials(clock: list[float]) -> FakeCredentials:
    return FakeCredentials(clock)


@pytest.fixture
def provider(credentials: FakeCredentials, clock: list[float]) -> Iterator[GoogleTokenProvider]:
    made = GoogleTokenProvider(credentials, pause=0.01, now=lambda: clock[0])
    yield made
    made.close()


def test_a_token_has_three_parts_as_googles_brokers_take_them() -> None:
    header, claims, access = encode_token("ya29.secret", "a@b", issued=NOW, expires=NOW + 3600).split(".")
    assert decode(header) == {"typ": "JWT", "alg": "GOOG_OAUTH2_TOKEN"}
    assert decode(claims) == {
        "exp": int(NOW) + 3600,
        "iat": int(NOW),
        "iss": "Google",
        "sub": "a@b",
        "scope": "kafka",
    }
    assert plain(access) == b"ya29.secret"
    assert "=" not in header + claims + access


def test_the_first_token_is_there_once_prepared_and_names_the_account_known_by_then(
    provider: GoogleTokenProvider, credentials: FakeCredentials
) -> None:
    provider.prepare()
    _, claims, access = provider.token().split(".")
    assert plain(access) == b"access-1"
    assert decode(claims)["sub"] == "ci@shop.iam.gserviceaccount.com"
    provider.prepare()
    assert credentials.refreshed == 1


def test_the_expiry_is_read_as_utc(provider: GoogleTokenProvider) -> None:
    provider.prepare()
    assert decode(provider.token().split(".")[1])["exp"] == int(NOW) + 3600


def test_a_token_is_renewed_before_it_expires_by_a_thread_of_its_own(clock: list[float]) -> None:
    credentials = FakeCredentials(clock, lasts=0.4)
    provider = GoogleTokenProvider(credentials, margin=0.3, pause=0.01, now=lambda: clock[0])
    provider.prepare()
    clock[0] += 0.2
    wait_until(lambda: credentials.refreshed >= 2, 5, "a second token")
    assert plain(provider.token().split(".")[2]) != b"access-1"
    assert credentials.asked_by[0] == threading.current_thread().name
    assert credentials.asked_by[1] == "kafka-token"
    provider.close()


def test_asking_for_a_token_never_asks_google(
    provider: GoogleTokenProvider, credentials: FakeCredentials
) -> None:
    provider.prepare()
    for _ in range(100):
        provider.token()
    assert credentials.refreshed == 1


def test_an_expired_token_is_not_handed_out(provider: GoogleTokenProvider, clock: list[float]) -> None:
    provider.prepare()
    clock[0] += 3601
    with pytest.raises(TransientError, match="expired"):
        provider.token()


def test_a_failed_renewal_is_tried_again(clock: list[float]) -> None:
    credentials = FakeCredentials(clock, lasts=0.1)
    provider = GoogleTokenProvider(credentials, margin=0.1, pause=0.005, now=lambda: clock[0])
    provider.prepare()
    credentials.fails = True
    tried = len(credentials.asked_by)
    wait_until(lambda: len(credentials.asked_by) > tried + 2, 5, "several attempts")
    credentials.fails = False
    got = credentials.refreshed
    wait_until(lambda: credentials.refreshed > got, 5, "a new token")
    provider.close()


def test_no_token_at_the_start_is_an_error_that_can_pass(
    provider: GoogleTokenProvider, credentials: FakeCredentials
) -> None:
    credentials.fails = True
    with pytest.raises(TransientError, match="metadata server unreachable"):
        provider.prepare()


def test_credentials_of_no_service_account_are_refused(
    provider: GoogleTokenProvider, credentials: FakeCredentials
) -> None:
    credentials.email = None
    with pytest.raises(PermanentError, match="service account"):
        provider.prepare()


def test_closing_ends_the_thread(provider: GoogleTokenProvider) -> None:
    provider.prepare()
    before = time.monotonic()
    provider.close()
    assert time.monotonic() - before < 2
    assert "kafka-token" not in {thread.name for thread in threading.enumerate()}


# --- the settings ---------------------------------------------------------------------------------


def test_plain_settings_need_nothing_else() -> None:
    options = KafkaSettings("a:1, b:2").client_options()
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["security_protocol"] == "PLAINTEXT"
    assert not [name for name in options if name.startswith(("sasl", "ssl"))]


def test_sasl_plain_over_tls_passes_user_password_and_authority() -> None:
    options = KafkaSettings(
        "a:1", "SASL_SSL", "PLAIN", username="u", password="p", ca_file="/ca.pem"
    ).client_options()
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_mechanism"] == "PLAIN"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "p")
    assert options["ssl_cafile"] == "/ca.pem"


def test_oauthbearer_passes_the_token_provider(provider: GoogleTokenProvider) -> None:
    options = KafkaSettings("a:1", "SASL_SSL", "OAUTHBEARER", token_provider="google").client_options(
        provider
    )
    assert options["sasl_mechanism"] == "OAUTHBEARER"
    assert options["sasl_oauth_token_provider"] is provider


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bootstrap": ""}, "address"),
        ({"security_protocol": "SASL_SSL"}, "no SASL mechanism"),
        ({"sasl_mechanism": "PLAIN"}, "PLAINTEXT does not go with PLAIN"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u"}, "password"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "token provider"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        KafkaSettings(**{"bootstrap": "a:1", **given})


def test_the_password_is_in_no_representation() -> None:
    settings = KafkaSettings("a:1", "SASL_SSL", "PLAIN", username="u", password="s3cret")
    assert "s3cret" not in repr(settings)
