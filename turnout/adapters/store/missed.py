"""What GitHub could not deliver, one row a delivery that we miss; and how far each hook's list was compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import instant, instant_or_none, micros, micros_or_none
from turnout.adapters.store.link import Link, Statement, listed, scalar
from turnout.core.ports.ledger import Head, Listed, Mark, Missed

_KNOWN = Statement(
    "SELECT id FROM deliveries WHERE source = 'github' AND status <> 'received' AND id IN :guids"
)
_ABOUT = Statement("SELECT 1 FROM deliveries WHERE sha = :sha AND sha <> '' LIMIT 1")
_BEFORE = Statement(
    "SELECT 1 FROM deliveries WHERE repository = :repository AND sha <> '' AND received_at < :at LIMIT 1"
)
_MISS = Statement(
    "INSERT INTO missed_deliveries"
    " (guid, hook, number, at, event, ok, code, said, first, due, tries, asked_at, refused) VALUES"
    " (:guid, :hook, :number, :at, :event, :ok, :code, :said, :first, :due, 0, NULL, '')"
    " ON CONFLICT (guid) DO UPDATE SET hook = excluded.hook, number = excluded.number, at = excluded.at,"
    " ok = excluded.ok, code = excluded.code, said = excluded.said WHERE missed_deliveries.number < excluded.number"
)
_MISSED = Statement(
    "SELECT guid, hook, number, at, event, ok, code, said, first, due, tries, asked_at, refused"
    " FROM missed_deliveries ORDER BY first, guid LIMIT :limit"
)
_CLAIM = Statement(
    "UPDATE missed_deliveries SET tries = tries + 1, asked_at = :now, due = :due"
    " WHERE guid = :guid AND tries = :tries AND due <= :now"
)
_UNCLAIM = Statement(
    "UPDATE missed_deliveries SET tries = :tries, asked_at = :asked_at, due = :due WHERE guid = :guid"
)
_REFUSE = Statement("UPDATE missed_deliveries SET refused = :why WHERE guid = :guid")
_SETTLE = Statement("DELETE FROM missed_deliveries WHERE guid IN :guids")
_FORGET = Statement("DELETE FROM missed_deliveries WHERE first < :before")
_MARK = "SELECT hook, upto, looked_at, due, said, cursor, aim FROM hook_marks"
_MARKS = Statement(f"{_MARK} ORDER BY hook")
_ONE_MARK = Statement(f"{_MARK} WHERE hook = :hook")
_TURN = Statement(
    "INSERT INTO hook_marks (hook, upto, looked_at, due, said, cursor, aim) VALUES"
    " (:hook, :first, :now, :due, '', '', NULL)"
    " ON CONFLICT (hook) DO UPDATE SET looked_at = excluded.looked_at, due = excluded.due WHERE hook_marks.due <= :now"
)
_WRITE = Statement(
    "INSERT INTO hook_marks (hook, upto, looked_at, due, said, cursor, aim) VALUES"
    " (:hook, :upto, :looked_at, :due, :said, :cursor, :aim) ON CONFLICT (hook) DO UPDATE SET upto = excluded.upto,"
    " looked_at = excluded.looked_at, due = excluded.due, said = excluded.said, cursor = excluded.cursor,"
    " aim = excluded.aim"
)


class SqlMissed:
    """Every method raises TransientError when the database is away, locked or full."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, guids: Collection[str]) -> Collection[str]:
        with self._database.look() as link:
            return {str(row[0]) for row in link.send(_KNOWN, {"guids": listed(link, sorted(guids))}).rows}

    def unseen(self, heads: Sequence[Head]) -> Sequence[Head]:
        with self._database.look() as link:
            return [
                each
                for each in heads
                if scalar(link, _ABOUT, sha=each.sha) is None
                and scalar(link, _BEFORE, repository=each.repository, at=micros(each.at)) is not None
            ]

    def miss(self, found: Sequence[Missed]) -> None:
        if not found:
            return
        with self._database.change() as link:
            link.send_many(_MISS, [_values(each) for each in found])

    def missed(self, limit: int) -> Sequence[Missed]:
        with self._database.look() as link:
            rows = link.send(_MISSED, {"limit": limit}).rows
        return [
            Missed(
                Listed(guid, hook, number, instant(at), event, bool(ok), code, said),
                first=instant(first),
                due=instant(due),
                tries=tries,
                asked_at=instant_or_none(asked_at),
                refused=refused,
            )
            for guid, hook, number, at, event, ok, code, said, first, due, tries, asked_at, refused in rows
        ]

    def claim(self, missed: Missed, now: datetime, due: datetime) -> bool:
        asked = {"guid": missed.listed.guid, "tries": missed.tries, "now": micros(now), "due": micros(due)}
        with self._database.change() as link:
            return link.send(_CLAIM, asked).count == 1

    def unclaim(self, missed: Missed, due: datetime) -> None:
        before = {"tries": missed.tries, "asked_at": micros_or_none(missed.asked_at), "due": micros(due)}
        with self._database.change() as link:
            link.send(_UNCLAIM, {"guid": missed.listed.guid, **before})

    def refuse(self, missed: Missed, why: str) -> None:
        with self._database.change() as link:
            link.send(_REFUSE, {"guid": missed.listed.guid, "why": why})

    def settle(self, guids: Collection[str]) -> None:
        if guids:
            with self._database.change() as link:
                link.send(_SETTLE, {"guids": listed(link, sorted(guids))})

    def forget(self, before: datetime) -> int:
        with self._database.change() as link:
            return link.send(_FORGET, {"before": micros(before)}).count

    def marks(self) -> Sequence[Mark]:
        with self._database.look() as link:
            return [_mark(*row) for row in link.send(_MARKS, {}).rows]

    def turn(self, hook: str, now: datetime, due: datetime, first: datetime) -> Mark | None:
        asked = {"hook": hook, "now": micros(now), "due": micros(due), "first": micros(first)}
        with self._database.change() as link:
            mine = link.send(_TURN, asked).count == 1
            return _find(link, hook) if mine else None

    def mark(self, mark: Mark) -> None:
        with self._database.change() as link:
            link.send(
                _WRITE,
                {
                    "hook": mark.hook,
                    "upto": micros(mark.upto),
                    "looked_at": micros(mark.looked_at),
                    "due": micros(mark.due),
                    "said": mark.said,
                    "cursor": mark.cursor,
                    "aim": micros_or_none(mark.aim),
                },
            )


def _values(missed: Missed) -> dict[str, str | int]:
    one = missed.listed
    return {
        "guid": one.guid,
        "hook": one.hook,
        "number": one.number,
        "at": micros(one.at),
        "event": one.event,
        "ok": int(one.ok),
        "code": one.code,
        "said": one.said,
        "first": micros(missed.first),
        "due": micros(missed.due),
    }


def _find(link: Link, hook: str) -> Mark | None:
    rows = link.send(_ONE_MARK, {"hook": hook}).rows
    return _mark(*rows[0]) if rows else None


def _mark(hook: str, upto: int, looked_at: int, due: int, said: str, cursor: str, aim: int | None) -> Mark:
    return Mark(hook, instant(upto), instant(looked_at), instant(due), said, cursor, instant_or_none(aim))
