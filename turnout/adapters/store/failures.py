"""What the database said, in the words of `turnout.core.errors`: what others raise never leaves the store.

The rule: an error that this one change brought with it (a value that no column takes, a broken constraint, a wrong
statement) is permanent. Everything that is wrong with the database as a whole is transient, also what only a person can
repair: the message is not at fault, and is redelivered until the database is well again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from turnout.core.errors import PermanentError, TransientError, TurnoutError

AGAIN = "nothing was written; it is tried again"
MIGRATE = "the tables are missing or old: run `turnout migrate`, or start `turnout up`"

_SQLITE = {
    sqlite3.SQLITE_BUSY: "another process keeps writing; look for one that hangs in the middle of a change",
    sqlite3.SQLITE_LOCKED: AGAIN,
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "the disk gives errors: look at the kernel's log",
    sqlite3.SQLITE_CANTOPEN: f"look whether the file is there and may be read; {MIGRATE}",
    sqlite3.SQLITE_READONLY: "the file, or the folder it is in, may not be written to by this user",
    sqlite3.SQLITE_PERM: "the file may not be used by this user",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: stop everything and restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database: look at TURNOUT_DATABASE_URL",
    sqlite3.SQLITE_NOMEM: "the machine is out of memory",
    sqlite3.SQLITE_PROTOCOL: AGAIN,
    sqlite3.SQLITE_INTERRUPT: AGAIN,
}
_POSTGRES = {
    "08": "the connection broke; it is made anew",
    "25": "the server ended a transaction that took too long, or takes no writes now",
    "28": "the server refuses this user: look at TURNOUT_DATABASE_URL",
    "3D": "there is no such database: look at TURNOUT_DATABASE_URL",
    "40": AGAIN,
    "53": "the server is out of disk, memory or connections",
    "55": "another process keeps a row locked; look for one that hangs in the middle of a change",
    "57": "the server is stopping or starting",
    "58": "the server has trouble with its disk: look at its log",
    "XX": "the server has trouble: look at its log",
}
"""SQLSTATE classes. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


@contextmanager
def translated(where: str, driver: type[Exception]) -> Iterator[None]:
    """``where`` names the database in messages, ``driver`` is what its driver raises.

    Raises: TransientError, PermanentError instead of theirs.
    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        raise translate(error, where) from error
    except driver as error:
        raise translate_driver(error, where) from error


def translate(error: exc.SQLAlchemyError, where: str) -> TurnoutError:
    if isinstance(error, exc.TimeoutError):
        return TransientError(f"{where}: all connections are in use", AGAIN)
    if not isinstance(error, exc.DBAPIError):
        return PermanentError(f"{where}: {_line(error)}", "this is a defect of Turnout")
    cause = error.orig if error.orig is not None else error
    if isinstance(error, exc.IntegrityError | exc.DataError):
        return _refused(cause, where)
    if isinstance(cause, sqlite3.Error):
        return _sqlite(cause, where)
    lost = error.connection_invalidated or isinstance(error, exc.OperationalError)
    return _postgres(cause, where, lost=lost, broken=error.connection_invalidated)


def translate_driver(error: Exception, where: str) -> TurnoutError:
    """``error``: of sqlite3 or of psycopg, as it is; both name their errors as PEP 249 does."""
    names = {each.__name__ for each in type(error).__mro__}
    if names & {"IntegrityError", "DataError"}:
        return _refused(error, where)
    if isinstance(error, sqlite3.Error):
        return _sqlite(error, where)
    return _postgres(error, where, lost="OperationalError" in names)


def _refused(cause: BaseException, where: str) -> PermanentError:
    return PermanentError(f"{where}: refused for good: {_line(cause)}")


def _postgres(cause: BaseException, where: str, *, lost: bool, broken: bool = False) -> TurnoutError:
    """``lost``: without a word from the server it means that the connection is; ``broken``: it is in any case."""
    state = str(getattr(cause, "sqlstate", None) or "")
    if broken or (not state and lost):
        return TransientError(f"{where}: {_line(cause)}", _POSTGRES["08"])
    if state == "42P01" or state == "42703":
        return TransientError(f"{where}: {_line(cause)}", MIGRATE)
    if state[:2] in _POSTGRES:
        return TransientError(f"{where}: {_line(cause)}", _POSTGRES[state[:2]])
    return PermanentError(f"{where}: {_line(cause)}", "this is a defect of Turnout")


def _sqlite(cause: sqlite3.Error, where: str) -> TurnoutError:
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None and (hint := _SQLITE.get(code & 0xFF)):
        return TransientError(f"{where}: {_line(cause)}", hint)
    if "no such table" in str(cause) or "no such column" in str(cause):
        return TransientError(f"{where}: {_line(cause)}", MIGRATE)
    return PermanentError(f"{where}: {_line(cause)}", "this is a defect of Turnout")


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
