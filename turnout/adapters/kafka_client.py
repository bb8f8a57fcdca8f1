"""Connecting with kafka-python, and its errors as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kafka import errors
from kafka.net.compat import KafkaNetClient

from turnout.adapters.kafka_settings import KafkaSettings
from turnout.core.errors import PermanentError, Rebalanced, TransientError, TurnoutError

Made = TypeVar("Made")

_NOT_OURS = (
    errors.CommitFailedError,
    errors.RebalanceInProgressError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
    errors.FencedInstanceIdError,
)
_PERMANENT = (
    errors.AuthorizationError,
    errors.GroupMaxSizeReachedError,
    errors.InconsistentGroupProtocolError,
    errors.InvalidConfigurationError,
    errors.InvalidGroupIdError,
    errors.InvalidPartitionsError,
    errors.InvalidReplicationFactorError,
    errors.InvalidSessionTimeoutError,
    errors.InvalidTopicError,
    errors.KafkaConfigurationError,
    errors.MessageSizeTooLargeError,
    errors.PolicyViolationError,
    errors.RecordListTooLargeError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.UnsupportedVersionError,
)


def connect(settings: KafkaSettings, make: Callable[..., Made], options: dict[str, Any]) -> Made:
    """A client of kafka-python that has found its cluster.

    Its constructors connect, and leave a thread and sockets behind when that fails: those are closed here.
    Raises: TransientError naming the address; PermanentError when the brokers refuse us.
    """
    opened: list[Any] = []

    def network(**config: Any) -> Any:
        opened.append(KafkaNetClient(**config))
        return opened[-1]

    try:
        return make(kafka_client=network, **options)
    except errors.KafkaError as error:
        refused = [_refusal(client) for client in opened]
        for client in opened:
            client.close()
        reason = next((each for each in refused if each is not None), None)
        if reason is not None:
            raise PermanentError(
                f"Kafka at {settings.bootstrap} does not let us in: {reason}",
                "check the SASL mechanism, user name and password",
            ) from error
        if isinstance(error, errors.KafkaTimeoutError):
            raise TransientError(
                f"no Kafka broker answers at {settings.bootstrap}",
                "check that it runs and that the address is right",
            ) from error
        raise translate(error, f"Kafka at {settings.bootstrap} could not be used") from error


def translate(error: Exception, doing: str) -> TurnoutError:
    """One of kafka-python's errors as ours, by whether trying again can help."""
    reason = f"{doing}: {type(error).__name__}: {error}"
    if isinstance(error, _NOT_OURS):
        return Rebalanced(reason)
    if isinstance(error, _PERMANENT) or not isinstance(error, errors.KafkaError):
        return PermanentError(reason)
    return TransientError(reason)


def _refusal(client: Any) -> Exception | None:
    """Why a broker would not let us sign in; None: it did not say."""
    for broker in client.cluster.bootstrap_brokers():
        reason: Exception | None = client._manager.auth_failure(broker.node_id)
        if reason is not None:
            return reason
    return None
