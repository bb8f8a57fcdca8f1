"""Consumer groups in the database: who is in one, who owns which partition, how far each was read.

Every change of membership is one transaction that also shares the partitions anew. A member is a name; a session is
one life of it. What a member owns is fenced by its session and by the epoch of the ownership, so that no one can commit
what has been given to another meanwhile. All functions take a connection in a transaction; times are microseconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, text, update
from sqlalchemy.sql.dml import Update

from turnout.adapters.embedded_log.process import Process, is_gone
from turnout.adapters.embedded_log.sharing import Partition, share
from turnout.adapters.store.database import scalar
from turnout.adapters.store.tables import log_members, log_positions

_LOCK = text(
    "INSERT INTO log_groups (name, generation) VALUES (:group, 1)"
    " ON CONFLICT (name) DO UPDATE SET generation = log_groups.generation + 1"
)
_MEMBERS = (
    select(log_members)
    .where(log_members.c.group_name.in_(bindparam("groups", expanding=True)))
    .order_by(log_members.c.group_name, log_members.c.member)
)
_ENTER = text(
    "INSERT INTO log_members (group_name, member, session, topics, host, pid, started, heard_at)"
    " VALUES (:group, :member, :session, :topics, :host, :pid, :started, :now) ON CONFLICT (group_name, member)"
    " DO UPDATE SET session = excluded.session, topics = excluded.topics, host = excluded.host, pid = excluded.pid,"
    " started = excluded.started, heard_at = excluded.heard_at"
)
_SESSION = text("SELECT session FROM log_members WHERE group_name = :group AND member = :member")
_INHERIT = text(
    "UPDATE log_positions SET owner = :session, epoch = epoch + 1 WHERE group_name = :group AND owner = :before"
)
_REMOVE = text("DELETE FROM log_members WHERE group_name = :group AND session = :session")
_HEARD = text("UPDATE log_members SET heard_at = :now WHERE session = :session")
_POSITIONS = text("SELECT topic, partition_no, owner FROM log_positions WHERE group_name = :group")
_OWN = text(
    "INSERT INTO log_positions (group_name, topic, partition_no, committed, owner, epoch)"
    " VALUES (:group, :topic, :partition, 0, :owner, 1) ON CONFLICT (group_name, topic, partition_no)"
    " DO UPDATE SET owner = excluded.owner, epoch = log_positions.epoch + 1"
)
_OWNED = text(
    "SELECT p.topic, p.partition_no, p.committed, p.epoch, h.next_offset, g.generation FROM log_positions p"
    " JOIN log_heads h ON h.topic = p.topic AND h.partition_no = p.partition_no"
    " JOIN log_groups g ON g.name = p.group_name WHERE p.group_name = :group AND p.owner = :session"
)
_COMMITTED = text("SELECT topic, partition_no, committed FROM log_positions WHERE group_name = :group")
_COMMIT: Update = (
    update(log_positions)
    .where(
        log_positions.c.group_name == bindparam("group"),
        log_positions.c.topic == bindparam("of_topic"),
        log_positions.c.partition_no == bindparam("partition"),
        log_positions.c.owner == bindparam("session"),
        log_positions.c.epoch == bindparam("of_epoch"),
    )
    .values(committed=bindparam("offset"))
)
_SERVER_TIME = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")


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
    """``head``: the offset that the partition's next record will have."""

    committed: int
    epoch: int
    head: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one session owns, at one generation of its group; 0: it owns nothing, and the generation isn't known."""

    owned: Mapping[Partition, Owned]
    generation: int


def now(connection: Connection) -> int:
    """One clock for all members: the server's, or the one of the only machine."""
    if connection.dialect.name == "sqlite":
        return time.time_ns() // 1000
    return int(scalar(connection, _SERVER_TIME))


def join(
    connection: Connection,
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
    at = now(connection)
    connection.execute(_LOCK, {"group": group})
    before = scalar(connection, _SESSION, group=group, member=member)
    if before is not None:
        connection.execute(_INHERIT, {"group": group, "session": session, "before": before})
    connection.execute(
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
    _remove_gone(connection, group, at, timeout)
    _share(connection, group)


def leave(connection: Connection, group: str, session: str) -> bool:
    """Whether it was in the group."""
    connection.execute(_LOCK, {"group": group})
    if connection.execute(_REMOVE, {"group": group, "session": session}).rowcount == 0:
        return False
    _share(connection, group)
    return True


def evict(connection: Connection, group: str, timeout: int) -> bool:
    """Give up the members that are gone. Whether there were any."""
    connection.execute(_LOCK, {"group": group})
    if not _remove_gone(connection, group, now(connection), timeout):
        return False
    _share(connection, group)
    return True


def session_of(connection: Connection, group: str, member: str) -> str:
    """The session that runs under this name now, empty: none."""
    return str(scalar(connection, _SESSION, group=group, member=member) or "")


def hear(connection: Connection, sessions: Sequence[str]) -> None:
    """These are alive."""
    at = now(connection)
    for session in sorted(sessions):
        connection.execute(_HEARD, {"now": at, "session": session})


def members(connection: Connection, names: Collection[str]) -> list[Member]:
    """Of all these groups."""
    return [
        Member(
            group=row.group_name,
            name=row.member,
            session=row.session,
            topics=frozenset(json.loads(row.topics)),
            process=Process(row.host, int(row.pid), row.started),
            heard_at=int(row.heard_at),
        )
        for row in connection.execute(_MEMBERS, {"groups": list(names)})
    ]


def gone(member: Member, at: int, timeout: int) -> bool:
    """Silent for ``timeout``, or its process has ended on this machine."""
    return member.heard_at < at - timeout or is_gone(member.process)


def owned(connection: Connection, group: str, session: str) -> Share:
    generation = 0
    found = {}
    for row in connection.execute(_OWNED, {"group": group, "session": session}):
        found[(row.topic, int(row.partition_no))] = Owned(
            int(row.committed), int(row.epoch), int(row.next_offset)
        )
        generation = int(row.generation)
    return Share(found, generation)


def committed(connection: Connection, group: str) -> dict[Partition, int]:
    rows = connection.execute(_COMMITTED, {"group": group})
    return {(topic, int(number)): int(offset) for topic, number, offset in rows}


def commit(
    connection: Connection, group: str, session: str, offsets: Mapping[Partition, tuple[int, int]]
) -> bool:
    """``offsets``: partition to the epoch it is owned in and the new position. Whether all of them are still owned."""
    wanted = [
        {
            "group": group,
            "of_topic": topic,
            "partition": number,
            "session": session,
            "of_epoch": epoch,
            "offset": offset,
        }
        for (topic, number), (epoch, offset) in sorted(offsets.items())
    ]
    return sum(connection.execute(_COMMIT, each).rowcount for each in wanted) == len(wanted)


def _remove_gone(connection: Connection, group: str, at: int, timeout: int) -> bool:
    dead = [each for each in members(connection, [group]) if gone(each, at, timeout)]
    for each in dead:
        connection.execute(_REMOVE, {"group": group, "session": each.session})
    return bool(dead)


def _share(connection: Connection, group: str) -> None:
    """Give every partition its owner; write down what has changed."""
    topics: dict[str, list[Partition]] = {}
    readers, sessions = {}, {}
    for row in connection.execute(_MEMBERS, {"groups": [group]}):
        counts: dict[str, int] = json.loads(row.topics)
        topics |= {name: [(name, number) for number in range(count)] for name, count in counts.items()}
        readers[row.member], sessions[row.member] = list(counts), row.session
    names = {session: member for member, session in sessions.items()}
    before: dict[Partition, str] = {
        (row.topic, int(row.partition_no)): row.owner
        for row in connection.execute(_POSITIONS, {"group": group})
    }
    owners = {partition: names[owner] for partition, owner in before.items() if owner in names}
    after = share(topics, readers, owners)
    changed = []
    for partition in sorted(before.keys() | after.keys()):
        owner = sessions[after[partition]] if partition in after else ""
        if before.get(partition, "") != owner:
            changed.append({"group": group, "topic": partition[0], "partition": partition[1], "owner": owner})
    if changed:
        connection.execute(_OWN, changed)
