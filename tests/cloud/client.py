"""Anybody's way to the brokers, as an account: with the token that the account has now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.admin import KafkaAdminClient

from local.google.accounts import Accounts
from tests.cloud.stack import Cloud
from turnout.adapters.kafka import KafkaBus, KafkaSettings
from turnout.adapters.kafka_auth import GoogleTokenProvider, encode_token
from turnout.adapters.kafka_client import connect


class Given(GoogleTokenProvider):
    def __init__(self, accounts: Accounts, email: str) -> None:
        super().__init__(object())  # type: ignore[arg-type]
        self._accounts, self._email = accounts, email

    def prepare(self) -> None:
        """It is there."""

    def token(self) -> str:
        now, found = time.time(), self._accounts.token(self._email)
        return encode_token(found.text, self._email, issued=now - 10, expires=found.expires)


def settings(cloud: Cloud) -> KafkaSettings:
    return KafkaSettings(
        cloud.here.brokers,
        "SASL_SSL",
        "OAUTHBEARER",
        ca_file=str(cloud.here.authority),
        token_provider="google",
    )


def bus(cloud: Cloud, email: str) -> KafkaBus:
    return KafkaBus(settings(cloud), tokens=Given(cloud.accounts, email))


@contextmanager
def admin(cloud: Cloud, email: str) -> Iterator[Any]:
    told = settings(cloud)
    client = connect(told, KafkaAdminClient, told.client_options(Given(cloud.accounts, email)))
    try:
        yield client
    finally:
        client.close()
