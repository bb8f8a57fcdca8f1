"""What everything else stands on: the store, the bus, and what the operator's files say."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from turnout.adapters.settings import InvalidSettings, Settings
from turnout.adapters.system_clock import SystemClock
from turnout.core.errors import PermanentError

if TYPE_CHECKING:
    from turnout.adapters.artifacts import FileArtifacts
    from turnout.adapters.artifacts_objects import Bucket, ObjectArtifacts
    from turnout.adapters.claims import FileClaims
    from turnout.adapters.config_files import BoundSecrets, ProjectFolder
    from turnout.adapters.git_snapshot import Snapshot
    from turnout.adapters.mirror import Mirrors
    from turnout.adapters.store.figures import SqlFigures
    from turnout.adapters.store.known_deliveries import KnownDeliveries
    from turnout.adapters.store.sql_store import SqlStore
    from turnout.core.ports import Bus, Producer
    from turnout.figuring import Figuring


class Foundations:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()

    @cached_property
    def store(self) -> SqlStore:
        """Raises: TransientError where a job makes the tables, and has not."""
        from turnout.adapters.store.sql_store import open_store

        try:
            found = open_store(
                self.settings.store_url,
                embedded=self.settings.embedded,
                synchronous=self.settings.sqlite_synchronous,
                topics=self.settings.topics,
                password=self.settings.sign_in(),
            )
        except PermanentError as error:
            raise InvalidSettings(f"TURNOUT_DATABASE_URL: {error.message}", error.hint) from error
        if self.settings.migrate == "job":
            from turnout.adapters.store.schema import require

            require(found.database)
        return found

    @cached_property
    def figures(self) -> SqlFigures:
        from turnout.adapters.store.figures import SqlFigures

        return SqlFigures(self.store.database)

    @cached_property
    def figuring(self) -> Figuring:
        from turnout.figuring import Figuring

        return Figuring(self.figures, self.clock)

    @cached_property
    def known_deliveries(self) -> KnownDeliveries:
        from turnout.adapters.store.known_deliveries import KnownDeliveries

        return KnownDeliveries(self.store.database)

    @cached_property
    def bus(self) -> Bus:
        if self.settings.embedded:
            from turnout.adapters.embedded_log.bus import EmbeddedBus

            s = self.settings
            return EmbeddedBus(self.store.database, session_timeout=s.session_timeout, topics=s.topics)
        return self._kafka()

    def _kafka(self) -> Bus:
        from turnout.adapters.kafka import KafkaBus
        from turnout.adapters.kafka_settings import KafkaSettings

        s = self.settings
        return KafkaBus(
            KafkaSettings(
                bootstrap=s.kafka_bootstrap,
                security_protocol=s.kafka_security_protocol,
                sasl_mechanism=s.kafka_sasl_mechanism,
                username=s.kafka_username,
                password=s.kafka_password.get_secret_value(),
                ca_file=s.kafka_ca_file,
                token_provider="google" if s.kafka_sasl_mechanism == "OAUTHBEARER" else "",
                replication_factor=s.kafka_replication_factor,
                session_timeout=s.session_timeout,
            ),
            s.topics,
        )

    @cached_property
    def producer(self) -> Producer:
        return self.bus.producer()

    @property
    def _outbox_producer(self) -> Producer | None:
        """None where the store's outbox is the log already."""
        return None if self.settings.embedded else self.producer

    @cached_property
    def projects(self) -> ProjectFolder:
        from turnout.adapters.config_files import ProjectFolder

        return ProjectFolder(self.settings.projects_folder)

    @cached_property
    def secrets(self) -> BoundSecrets:
        from turnout.adapters.config_files import BoundSecrets

        return BoundSecrets(self.projects)

    @cached_property
    def mirrors(self) -> Mirrors:
        from turnout.adapters.mirror import Mirrors

        return Mirrors(self.settings.home)

    def snapshot(self, path: Path) -> Snapshot:
        """A checkout as it is now, as a commit that agents of this machine can check out."""
        from turnout.adapters.git_snapshot import snapshot

        return snapshot(self.mirrors, path)

    @cached_property
    def artifacts(self) -> FileArtifacts | ObjectArtifacts:
        """Raises: PermanentError where nobody can sign in to the bucket."""
        if not self.settings.artifacts:
            from turnout.adapters.artifacts import FileArtifacts

            return FileArtifacts(self.settings.home / "artifacts")
        from turnout.adapters.artifacts_objects import ObjectArtifacts

        kind, _, place = self.settings.artifacts.partition("://")
        name, _, prefix = place.partition("/")
        return ObjectArtifacts(self._bucket(kind, name), prefix.strip("/"))

    def _bucket(self, kind: str, name: str) -> Bucket:
        endpoint = self.settings.artifacts_endpoint
        if kind == "gs":
            from turnout.adapters.artifacts_gcs import open_gcs

            return open_gcs(name, endpoint)
        from turnout.adapters.artifacts_s3 import open_s3

        return open_s3(name, endpoint)

    @cached_property
    def claims(self) -> FileClaims:
        from turnout.adapters.claims import FileClaims

        return FileClaims(self.settings.home / "claims")
