"""The bus on Apache Kafka, by kafka-python. Clients are made when first used, in the process that uses them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from kafka import KafkaProducer, TopicPartition, errors
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.protocol.consumer import OffsetSpec

from turnout.adapters.kafka_auth import GoogleTokenProvider, google_token_provider
from turnout.adapters.kafka_client import connect, translate
from turnout.adapters.kafka_consumer import KafkaGroupConsumer, KafkaTail
from turnout.adapters.kafka_producer import PRODUCER_OPTIONS, KafkaBusProducer
from turnout.adapters.kafka_settings import KafkaSettings
from turnout.adapters.kafka_waking import WakingConsumer
from turnout.core.errors import TransientError
from turnout.core.topics import TOPICS, Topic

__all__ = ["KafkaBus", "KafkaSettings"]

log = structlog.get_logger()

Partition = tuple[str, int]

HEARTBEAT = 1.0
"""Seconds; a member learns with its next heartbeat that the group is shared out anew, and holds it up until then."""
MAX_SILENCE = 120.0
"""Seconds between two polls after which a member is taken to be stuck and leaves its group."""

CONSUMER_OPTIONS: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "allow_auto_create_topics": False,
    "fetch_max_wait_ms": 500,
    "metrics_enabled": False,
}


class KafkaBus:
    """``topics`` is the table that `ensure_topics` makes. ``tokens``: for OAUTHBEARER, None: as the settings say."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[Topic] = TOPICS,
        tokens: GoogleTokenProvider | None = None,
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._tokens = tokens
        self._lock = threading.Lock()
        _quieten()

    def producer(self) -> KafkaBusProducer:
        def make(within: float) -> Any:
            options = self._options() | PRODUCER_OPTIONS
            options["bootstrap_timeout_ms"] = int(min(within, self._settings.connect_timeout) * 1000)
            return connect(self._settings, KafkaProducer, options)

        return KafkaBusProducer(make)

    def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> KafkaGroupConsumer:
        """A named member keeps its partitions while it restarts within the session timeout; `close` gives them up."""
        session = self._settings.session_timeout
        options = CONSUMER_OPTIONS | {
            "group_id": group,
            "group_instance_id": member or None,
            "session_timeout_ms": int(session * 1000),
            "heartbeat_interval_ms": int(min(session / 4, HEARTBEAT) * 1000),
            "max_poll_interval_ms": int(MAX_SILENCE * 1000),
            "partition_assignment_strategy": (CooperativeStickyAssignor,),
        }
        client = connect(self._settings, WakingConsumer, self._options() | options)
        with self._closing_on_failure(client, f"subscribing to {', '.join(topics)}"):
            for topic in topics:  # a member that leads the group must know them all before it shares them out
                self._numbers(topic, client.partitions_for_topic(topic))
        return KafkaGroupConsumer(client, topics, self._leaver(group, member) if member else None)

    def tail(self, topics: Sequence[str], *, from_start: bool = False) -> KafkaTail:
        client = connect(self._settings, WakingConsumer, self._options() | CONSUMER_OPTIONS)
        with self._closing_on_failure(client, f"reading the ends of {', '.join(topics)}"):
            partitions = [
                TopicPartition(topic, number)
                for topic in topics
                for number in self._numbers(topic, client.partitions_for_topic(topic))
            ]
            client.assign(partitions)
            offsets = client.beginning_offsets(partitions) if from_start else client.end_offsets(partitions)
            for partition, offset in offsets.items():
                client.seek(partition, offset)
        return KafkaTail(client)

    def lag(self, group: str, topics: Sequence[str]) -> Mapping[Partition, int]:
        with self._admin(f"reading the lag of {group}") as admin:
            described = admin.describe_topics(list(topics))
            partitions = [
                TopicPartition(each["name"], number)
                for each in described
                for number in self._numbers(each["name"], [p["partition_index"] for p in each["partitions"]])
            ]
            committed = admin.list_group_offsets({group: partitions})[group]
            starts = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
            ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        found = {}
        for each in partitions:
            at = committed[each].offset if each in committed else -1
            found[(each.topic, each.partition)] = ends[each].offset - max(at, starts[each].offset)
        return found

    def ensure_topics(self) -> None:
        """Those that exist are left as they are: more partitions would move keys away from their order."""
        with self._admin("making the topics") as admin:
            missing = {each.name for each in self._topics} - set(admin.list_topics())
            if not missing:
                return
            wanted = {
                each.name: {
                    "num_partitions": each.partitions,
                    "replication_factor": self._settings.replication_factor,
                    "configs": {"retention.ms": str(each.retention * 1000), "cleanup.policy": "delete"},
                }
                for each in self._topics
                if each.name in missing
            }
            made = admin.create_topics(wanted, raise_errors=False)
            for each in made["topics"]:
                error = errors.for_code(each["error_code"])
                if error not in (errors.NoError, errors.TopicAlreadyExistsError):
                    raise translate(
                        error(each.get("error_message") or ""), f"making the topic {each['name']}"
                    )
            admin.wait_for_topics(sorted(missing))

    def _options(self) -> dict[str, Any]:
        if self._settings.sasl_mechanism != "OAUTHBEARER":
            return self._settings.client_options()
        with self._lock:
            if self._tokens is None:
                self._tokens = google_token_provider()
        self._tokens.prepare()
        return self._settings.client_options(self._tokens)

    @contextmanager
    def _closing_on_failure(self, client: Any, doing: str) -> Iterator[None]:
        try:
            yield
        except errors.KafkaError as error:
            client.close(autocommit=False)
            raise translate(error, doing) from error
        except BaseException:
            client.close(autocommit=False)
            raise

    @contextmanager
    def _admin(self, doing: str) -> Iterator[Any]:
        admin = connect(self._settings, KafkaAdminClient, self._options())
        try:
            yield admin
        except errors.KafkaError as error:
            raise translate(error, doing) from error
        finally:
            admin.close()

    def _leaver(self, group: str, member: str) -> Callable[[str], None]:
        """kafka-python never takes a named member out of its group; its partitions would wait for the session's end."""

        def leave(member_id: str) -> None:
            try:
                with self._admin(f"leaving {group}") as admin:
                    admin.remove_group_members(
                        group,
                        [MemberToRemove(member_id=member_id, group_instance_id=member, reason="closed")],
                    )
            except TransientError as error:
                log.warning("not left the group, its session will run out", group=group, reason=str(error))

        return leave

    def _numbers(self, topic: str, partitions: Sequence[int] | set[int]) -> list[int]:
        if not partitions:
            raise TransientError(f"there is no topic {topic} in Kafka", "make it with ensure_topics")
        return sorted(partitions)


def _quieten() -> None:
    """kafka-python logs every connection that a broker's restart costs as an error; what matters is raised.

    A level that was set for its logger stays.
    """
    logger = logging.getLogger("kafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
