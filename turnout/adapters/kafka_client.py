"""Connecting with kafka-python, and its errors as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector

from turnout.adapters.kafka_settings import KafkaSettings
from turnout.core.errors import PermanentError, Rebalanced, TransientError, TurnoutError

Made = TypeVar("Made")

SIGN_IN = "check the SASL mechanism, user name and password"
_REFUSED = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)

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


class _ClosingSocket(KafkaNetSocket):  # type: ignore[misc] # kafka-python is not typed
    """kafka-python leaves a socket that could not connect to the garbage collector; this closes it at once.

    It is chosen by a proxy address of this scheme, the one way in for a socket of one's own.
    """

    SCHEMES = ("direct",)

    async def sock_connect(self, net: Any, sock: Any, address: Any, timeout_at: float | None = None) -> Any:
        try:
            return await super().sock_connect(net, sock, address, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise


class _NotingManager(KafkaConnectionManager):  # type: ignore[misc] # kafka-python is not typed
    """Keeps why the last connection failed; kafka-python only tries again until time is up."""

    failure: Exception | None = None

    def get_connection(self, node_id: Any, *args: Any, **options: Any) -> Any:
        known = node_id in self._conns
        connection = super().get_connection(node_id, *args, **options)
        if not known:
            connection.init_future.add_errback(self._note)
        return connection

    def _note(self, error: Exception) -> None:
        if not isinstance(self.failure, _REFUSED):
            self.failure = error


def connect(settings: KafkaSettings, make: Callable[..., Made], options: dict[str, Any]) -> Made:
    """A client of kafka-python that has found its cluster.

    Its constructors connect, and leave a thread and sockets behind when that fails: those are closed here.
    Raises: TransientError naming the address; PermanentError when the brokers say that they refuse us.
    """
    opened: list[Any] = []

    def network(**config: Any) -> Any:
        selector = NetworkSelector(**config)
        opened.append(KafkaNetClient(net=selector, manager=_NotingManager(selector, **config)))
        return opened[-1]

    try:
        return make(kafka_client=network, proxy_url="direct://", **options)
    except errors.KafkaError as error:
        failure = next((client._manager.failure for client in opened if client._manager.failure), error)
        for client in opened:
            client.close()
        raise _not_connected(settings, failure) from error


def _not_connected(settings: KafkaSettings, failure: Exception) -> TurnoutError:
    if isinstance(failure, _REFUSED):
        return PermanentError(f"Kafka at {settings.bootstrap} does not let us in: {failure}", SIGN_IN)
    if isinstance(failure, errors.RetriableError):
        hint = "check that it runs and that the address is right"
        if settings.sasl_mechanism:  # some brokers end the connection before their refusal can be read
            hint += "; " + SIGN_IN
        return TransientError(f"no Kafka broker answers at {settings.bootstrap}: {failure}", hint)
    return translate(failure, f"Kafka at {settings.bootstrap} could not be used")


def translate(error: Exception, doing: str) -> TurnoutError:
    """One of kafka-python's errors as ours, by whether trying again can help."""
    reason = f"{doing}: {type(error).__name__}: {error}"
    if isinstance(error, _NOT_OURS):
        return Rebalanced(reason)
    if isinstance(error, _PERMANENT) or not isinstance(error, errors.KafkaError):
        return PermanentError(reason)
    return TransientError(reason)
