"""How to reach the brokers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from turnout.core.errors import PermanentError

REQUEST_TIMEOUT = 15.0
"""Seconds for one answer of a broker."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """``bootstrap`` is ``host:port``, several separated by commas. Durations are in seconds.

    ``ca_file``: certificates to trust, empty: the system's. ``replication_factor`` of topics that are made, -1:
    the broker's default. ``session_timeout``: a silent member of a group is given up after this long.
    ``connect_timeout``: how long a first connection may take before it is a `TransientError`.
    """

    bootstrap: str
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "OAUTHBEARER"] = ""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    token_provider: Literal["", "google"] = ""
    replication_factor: int = -1
    session_timeout: float = 10.0
    connect_timeout: float = 10.0
    client_id: str = "turnout"

    def __post_init__(self) -> None:
        """Raises: PermanentError for settings that cannot work together."""
        if not self.bootstrap:
            raise PermanentError(
                "the address of Kafka is missing", "set TURNOUT_KAFKA_BOOTSTRAP to HOST:PORT"
            )
        signs_in = self.security_protocol.startswith("SASL_")
        if signs_in != bool(self.sasl_mechanism):
            raise PermanentError(
                f"Kafka's security protocol {self.security_protocol} does not go with "
                f"{self.sasl_mechanism or 'no'} SASL mechanism",
                "SASL_PLAINTEXT and SASL_SSL need PLAIN or OAUTHBEARER, the others none",
            )
        if self.sasl_mechanism == "PLAIN" and not (self.username and self.password):
            raise PermanentError(
                "SASL/PLAIN needs a user name and a password", "set both, or use another mechanism"
            )
        if self.sasl_mechanism == "OAUTHBEARER" and not self.token_provider:
            raise PermanentError("OAUTHBEARER needs a token provider", "set it to google")

    def servers(self) -> list[str]:
        return [each.strip() for each in self.bootstrap.split(",") if each.strip()]

    def client_options(self, tokens: object = None) -> dict[str, Any]:
        """What every client of kafka-python takes. ``tokens``: the token provider, for OAUTHBEARER.

        Reconnection backs off to one second at most: kafka-python's own 30 s would be what a restart of
        the broker costs.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": self.servers(),
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "bootstrap_timeout_ms": int(self.connect_timeout * 1000),
            "request_timeout_ms": int(REQUEST_TIMEOUT * 1000),
            "reconnect_backoff_ms": 50,
            "reconnect_backoff_max_ms": 1000,
            "metadata_max_age_ms": 60_000,
        }
        if self.ca_file:
            options["ssl_cafile"] = self.ca_file
        match self.sasl_mechanism:
            case "PLAIN":
                options["sasl_mechanism"] = "PLAIN"
                options["sasl_plain_username"] = self.username
                options["sasl_plain_password"] = self.password
            case "OAUTHBEARER":
                options["sasl_mechanism"] = "OAUTHBEARER"
                options["sasl_oauth_token_provider"] = tokens
            case "":
                pass
        return options
