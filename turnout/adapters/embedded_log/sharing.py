"""Who owns which partition. Pure: the same members and owners give the same shares.

Each topic is shared evenly among the members that read it, one partition more or less, and so is the sum of all. Within
that, an owner keeps what it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

Partition = tuple[str, int]


def share(
    partitions: Mapping[str, Sequence[Partition]],
    readers: Mapping[str, Collection[str]],
    owners: Mapping[Partition, str],
) -> dict[Partition, str]:
    """The owner of each partition. ``partitions``: those of each topic. ``readers``: the topics of each member.

    ``owners``: who owned what until now. A partition of a topic that nobody reads has no owner.
    """
    shared: dict[Partition, str] = {}
    load: dict[str, int] = defaultdict(int)
    for topic in sorted(partitions):
        members = sorted(member for member, topics in readers.items() if topic in topics)
        if members:
            mine = _share_topic(sorted(partitions[topic]), members, owners, load)
            for member in mine.values():
                load[member] += 1
            shared |= mine
    return shared


def _share_topic(
    partitions: Sequence[Partition],
    members: Sequence[str],
    owners: Mapping[Partition, str],
    load: Mapping[str, int],
) -> dict[Partition, str]:
    held: dict[str, list[Partition]] = {member: [] for member in members}
    free: list[Partition] = []
    for partition in partitions:
        held.get(owners.get(partition, ""), free).append(partition)
    least, extra = divmod(len(partitions), len(members))
    # The members that get one more: those with the least to do so far, then those that have the most here already.
    favoured = sorted(members, key=lambda member: (load[member], -len(held[member]), member))[:extra]
    room = {member: least + (member in favoured) for member in members}
    shared: dict[Partition, str] = {}
    for member in members:
        kept, given_up = held[member][: room[member]], held[member][room[member] :]
        shared |= dict.fromkeys(kept, member)
        room[member] -= len(kept)
        free += given_up
    takers = [member for member in members for _ in range(room[member])]
    return shared | dict(zip(sorted(free), takers, strict=True))
