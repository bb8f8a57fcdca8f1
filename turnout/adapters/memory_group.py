"""A consumer group in memory: who is in it, who owns which partition, how far each was committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Member:
    """``ticket`` tells one process from the next that runs under the same name."""

    ticket: int
    topics: frozenset[str]


class Group:
    """Each partition has at most one owner; its epoch changes whenever its owner does.

    ``changes`` grows with each change of members, owners or epochs.
    """

    def __init__(self) -> None:
        self.committed: dict[Partition, int] = {}
        self._members: dict[str, _Member] = {}
        self._owner: dict[Partition, str] = {}
        self._epoch: dict[Partition, int] = {}
        self._tickets = 0
        self.changes = 0

    def join(self, name: str, topics: frozenset[str]) -> int:
        """The ticket of the new member. One of the same name is replaced; what it owned is owned anew."""
        self._tickets += 1
        self.changes += 1
        self._members[name] = _Member(self._tickets, topics)
        for partition, owner in self._owner.items():
            if owner == name:
                self._epoch[partition] += 1
        return self._tickets

    def leave(self, name: str, ticket: int) -> bool:
        """Whether that member was in the group."""
        if not self.has(name, ticket):
            return False
        del self._members[name]
        self.changes += 1
        return True

    def has(self, name: str, ticket: int) -> bool:
        return name in self._members and self._members[name].ticket == ticket

    def owned(self, name: str) -> dict[Partition, int]:
        """The partitions of one member, each with its epoch."""
        return {each: self._epoch[each] for each, owner in sorted(self._owner.items()) if owner == name}

    def owns(self, name: str, ticket: int, partition: Partition, epoch: int | None) -> bool:
        return (
            self.has(name, ticket)
            and self._owner.get(partition) == name
            and self._epoch.get(partition) == epoch
        )

    def shuffle(self, partitions: Callable[[str], list[Partition]]) -> None:
        """Take everything from everyone and share it anew."""
        self._owner.clear()
        self.share(partitions)

    def share(self, partitions: Callable[[str], list[Partition]]) -> None:
        """Give every partition of the subscribed topics an owner; who owns one keeps it, within a fair share.

        ``partitions`` names those of a topic.
        """
        self.changes += 1
        topics = {topic for member in self._members.values() for topic in member.topics}
        every = sorted(each for topic in topics for each in partitions(topic))
        before, self._owner = self._owner, {}
        for partition in every:
            owner = before.get(partition, "")
            if owner in self._members and partition[0] in self._members[owner].topics:
                self._owner[partition] = owner
        for partition in every:
            if partition not in self._owner:
                self._give(partition, min(self._candidates(partition), key=self._load))
        while self._level(every):
            pass

    def _candidates(self, partition: Partition) -> list[str]:
        return [name for name, member in self._members.items() if partition[0] in member.topics]

    def _load(self, name: str) -> int:
        return sum(owner == name for owner in self._owner.values())

    def _give(self, partition: Partition, name: str) -> None:
        self._owner[partition] = name
        self._epoch[partition] = self._epoch.get(partition, 0) + 1

    def _level(self, every: list[Partition]) -> bool:
        """Move one partition from a member to another that has two or more fewer; whether there was one."""
        for partition in every:
            owner = self._owner[partition]
            lightest = min(self._candidates(partition), key=self._load)
            if self._load(owner) - self._load(lightest) > 1:
                self._give(partition, lightest)
                return True
        return False
