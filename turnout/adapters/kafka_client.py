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
    """Keeps why a broker would not let us sign in; kafka-python only tries again until time is up."""

    refusal: Exception | None = None

    def get_connection(self, node_id: Any, *args: Any, **options: Any) -> Any:
        known = node_id in self._conns
        connection = super().get_connection(node_id, *args, **options)
        if not known:
            connection.init_future.add_errback(self._note)
        return connection

    def _note(self, error: Exception) -> None:
        if isinstance(error, (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)):
            self.refusal = error


def connect(settings: KafkaSettings, make: Callable[..., Made], options: dict[str, Any]) -> Made:
    """A client of kafka-python that has found its cluster.

    Its constructors connect, and leave a thread and sockets behind when that fails: those are closed here.
    Raises: TransientError naming the address; PermanentError when the brokers refuse us.
    """
    opened: list[Any] = []

    def network(**config: Any) -> Any:
        selector = NetworkSelector(**config)
        opened.append(KafkaNetClient(net=selector, manager=_NotingManager(selector, **config)))
        return opened[-1]

    try:
        return make(kafka_client=network, proxy_url="direct://", **options)
    except errors.KafkaError as error:
        reason = next((client._manager.refusal for client in opened if client._manager.refusal), None)
        for client in opened:
            client.close()
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
