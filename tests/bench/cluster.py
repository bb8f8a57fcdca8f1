"""Several stacks that share one Kafka and one PostgreSQL, as several machines would."""

from __future__ import annotations

from kafka.admin import KafkaAdminClient, NewTopic

from tests.bench.systems import OPEN, Surroundings
from tests.bench.timeline import Burst
from tests.bench.turnout_stack import TurnoutStack, burst_of
from turnout.core.topics import TOPICS


class Cluster:
    """``processes`` stacks: each with its functions, its dispatcher and its agents. ``partitions``: of every topic."""

    def __init__(self, name: str, around: Surroundings, processes: int, partitions: int) -> None:
        self._partitions = partitions
        self._broker = around.broker()
        folder = around.folder / f"scale-{name}"
        shared = OPEN | {
            "TURNOUT_PROJECTS": str(folder / "projects"),
            "TURNOUT_KAFKA_BOOTSTRAP": self._broker.bootstrap,
            "TURNOUT_DATABASE_URL": around.database(f"scale-{name}"),
            "TURNOUT_SERVER_KEY": "shared by all stacks of the benchmark",
        }
        self._stacks = [
            TurnoutStack(f"{name}-{number}", folder / str(number), shared | {"TURNOUT_NODE": f"n{number}"})
            for number in range(1, processes + 1)
        ]

    def start(self) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self._broker.bootstrap)
        admin.create_topics([NewTopic(each.name, self._partitions, 1) for each in TOPICS])
        admin.close()
        first = self._stacks[0]
        for stack in self._stacks:
            stack.repository = first.repository
            stack.start()
        burst_of(self._stacks, 4 * len(self._stacks))

    def burst(self, pipelines: int) -> Burst:
        return burst_of(self._stacks, pipelines)

    def stop(self) -> None:
        for stack in self._stacks:
            stack.stop()
