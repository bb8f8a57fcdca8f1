"""Consumer groups in the database: who is in one, who owns which partition, how far each was read.

Every change of membership is one transaction that also shares the partitions anew. A member is a name; a session is
one life of it. What a member owns is fenced by its session and by the epoch of the ownership, so that no one can commit
what has been given to another meanwhile. All functions take a link in a transaction; times are microseconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.adapters.embedded_log.process import Process, is_gone
from turnout.adapters.embedded_log.sharing import Partition, share
from turnout.adapters.store.link import Link, Statement, listed, scalar

_LOCK = Statement(
    "INSERT INTO log_groups (name, generation) VALUES (:group, 1)"
    " ON CONFLICT (name) DO UPDATE SET generation = log_groups.generation + 1"
)
_MEMBERS = Statement(
    "SELECT group_name, member, session, topics, host, pid, started, heard_at FROM log_members"
    " WHERE group_name IN :groups ORDER BY group_name, member"
)
_ENTER = Statement(
    "INSERT INTO log_members (group_name, member, session, topics, host, pid, started, heard_at)"
    " VALUES (:group, :member, :session, :topics, :host, :pid, :started, :now) ON CONFLICT (group_name, member)"
    " DO UPDATE SET session = excluded.session, topics = excluded.topics, host = excluded.host, pid = excluded.pid,"
    " started = excluded.started, heard_at = excluded.heard_at"
)
_SESSION = Statement("SELECT session FROM log_members WHERE group_name = :group AND member = :member")
_INHERIT = Statement(
    "UPDATE log_positions SET owner = :session, epoch = epoch + 1 WHERE group_name = :group AND owner = :before"
)
_REMOVE = Statement("DELETE FROM log_members WHERE group_name = :group AND session = :session")
_HEARD = Statement("UPDATE log_members SET heard_at = :now WHERE session = :session")
_POSITIONS = Statement("SELECT topic, partition_no, owner FROM log_positions WHERE group_name = :group")
_OWN = Statement(
    "INSERT INTO log_positions (group_name, topic, partition_no, committed, owner, epoch)"
    " VALUES (:group, :topic, :partition, 0, :owner, 1) ON CONFLICT (group_name, topic, partition_no)"
    " DO UPDATE SET owner = excluded.owner, epoch = log_positions.epoch + 1"
)
_HEADS = Statement(
    "SELECT h.topic, h.partition_no, h.next_offset, g.generation FROM log_groups g"
    " JOIN log_heads h ON h.topic IN :topics WHERE g.name = :group"
)
_OWNED = Statement(
    "SELECT topic, partition_no, committed, epoch FROM log_positions"
    " WHERE group_name = :group AND owner = :session"
)
_COMMITTED = Statement("SELECT topic, partition_no, committed FROM log_positions WHERE group_name = :group")
_COMMIT = Statement(
    "UPDATE log_positions SET committed = :offset WHERE group_name = :group AND topic = :topic"
    " AND partition_no = :partition AND owner = :session AND epoch = :epoch"
)
_SERVER_TIME = Statement("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")


@dataclass(frozen=True, slots=True)
class Member:
    group: str
    name: str
    session: str
    topics: frozenset[str]
    process: Process
    heard_at: int


@dataclass(frozen=True, slots=True)
class Owned:
    committed: int
    epoch: int


def now(link: Link) -> int:
    """One clock for all members: the server's, or the one of the only machine."""
    if link.dialect == "sqlite":
        return time.time_ns() // 1000
    return int(scalar(link, _SERVER_TIME))


def join(
    link: Link,
    group: str,
    member: str,
    session: str,
    process: Process,
    topics: Mapping[str, Sequence[Partition]],
    timeout: int,
) -> None:
    """Enter the group, or take the place of the member of the same name, and give up members that are gone.

    ``topics``: what it wants to read, with the partitions of each.
    """
    at = now(link)
    link.send(_LOCK, {"group": group})
    before = scalar(link, _SESSION, group=group, member=member)
    if before is not None:
        link.send(_INHERIT, {"group": group, "session": session, "before": before})
    link.send(
        _ENTER,
        {
            "group": group,
            "member": member,
            "session": session,
            "topics": json.dumps({name: len(those) for name, those in sorted(topics.items())}),
            "host": process.host,
            "pid": process.pid,
            "started": process.started,
            "now": at,
        },
    )
    _remove_gone(link, group, at, timeout)
    _share(link, group)


def leave(link: Link, group: str, session: str) -> bool:
    """Whether it was in the group."""
    link.send(_LOCK, {"group": group})
    if link.send(_REMOVE, {"group": group, "session": session}).count == 0:
        return False
    _share(link, group)
    return True


def evict(link: Link, group: str, timeout: int) -> bool:
    """Give up the members that are gone. Whether there were any."""
    link.send(_LOCK, {"group": group})
    if not _remove_gone(link, group, now(link), timeout):
        return False
    _share(link, group)
    return True


def session_of(link: Link, group: str, member: str) -> str:
    """The session that runs under this name now, empty: none."""
    return str(scalar(link, _SESSION, group=group, member=member) or "")


def hear(link: Link, sessions: Sequence[str]) -> None:
    """These are alive."""
    at = now(link)
    for session in sorted(sessions):
        link.send(_HEARD, {"now": at, "session": session})


def members(link: Link, names: Collection[str]) -> list[Member]:
    """Of all these groups."""
    return [
        Member(
            group=group,
            name=name,
            session=session,
            topics=frozenset(json.loads(topics)),
            process=Process(host, int(pid), started),
            heard_at=int(heard_at),
        )
        for group, name, session, topics, host, pid, started, heard_at in _members(link, names)
    ]


def gone(member: Member, at: int, timeout: int) -> bool:
    """Silent for ``timeout``, or its process has ended on this machine."""
    return member.heard_at < at - timeout or is_gone(member.process)


def heads(link: Link, group: str, topics: Sequence[str]) -> tuple[int, dict[Partition, int]]:
    """The generation of the group, and the offset that the next record of each partition will have.

    As long as the generation stays the same, so does what each member owns.
    """
    rows = link.send(_HEADS, {"group": group, "topics": listed(link, topics)}).rows
    return (
        int(rows[0][3]) if rows else 0,
        {(topic, int(number)): int(offset) for topic, number, offset, _ in rows},
    )


def owned(link: Link, group: str, session: str) -> dict[Partition, Owned]:
    rows = link.send(_OWNED, {"group": group, "session": session}).rows
    return {
        (topic, int(number)): Owned(int(committed), int(epoch)) for topic, number, committed, epoch in rows
    }


def committed(link: Link, group: str) -> dict[Partition, int]:
    rows = link.send(_COMMITTED, {"group": group}).rows
    return {(topic, int(number)): int(offset) for topic, number, offset in rows}


def commit(link: Link, group: str, session: str, offsets: Mapping[Partition, tuple[int, int]]) -> bool:
    """``offsets``: partition to the epoch it is owned in and the new position. Whether all of them are still owned."""
    moved = [
        link.send(
            _COMMIT,
            {
                "group": group,
                "topic": topic,
                "partition": number,
                "session": session,
                "epoch": epoch,
                "offset": offset,
            },
        )
        for (topic, number), (epoch, offset) in sorted(offsets.items())
    ]
    return all(each.count == 1 for each in moved)


def _remove_gone(link: Link, group: str, at: int, timeout: int) -> bool:
    dead = [each for each in members(link, [group]) if gone(each, at, timeout)]
    for each in dead:
        link.send(_REMOVE, {"group": group, "session": each.session})
    return bool(dead)


def _share(link: Link, group: str) -> None:
    """Give every partition its owner; write down what has changed."""
    topics: dict[str, list[Partition]] = {}
    readers, sessions = {}, {}
    for _, member, session, wanted, *_ in _members(link, [group]):
        counts: dict[str, int] = json.loads(wanted)
        topics |= {name: [(name, number) for number in range(count)] for name, count in counts.items()}
        readers[member], sessions[member] = list(counts), session
    names = {session: member for member, session in sessions.items()}
    before: dict[Partition, str] = {
        (topic, int(number)): owner for topic, number, owner in link.send(_POSITIONS, {"group": group}).rows
    }
    owners = {partition: names[owner] for partition, owner in before.items() if owner in names}
    after = share(topics, readers, owners)
    changed = []
    for partition in sorted(before.keys() | after.keys()):
        owner = sessions[after[partition]] if partition in after else ""
        if before.get(partition, "") != owner:
            changed.append({"group": group, "topic": partition[0], "partition": partition[1], "owner": owner})
    if changed:
        link.send_many(_OWN, changed)


def _members(link: Link, names: Collection[str]) -> Sequence[tuple[Any, ...]]:
    return link.send(_MEMBERS, {"groups": listed(link, list(names))}).rows
