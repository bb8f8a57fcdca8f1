"""A version of Turnout after this one: a copy of the code with what an update may bring.

Every event and every message has one more field, runs have one more, a migration adds a column, and the code writes all
of them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from turnout.adapters.store.schema import HEAD

NEXT_HEAD = f"{int(HEAD) + 1:04}"
MARK = "of_next"
"""The new field's name, and the column's."""

MIGRATION = f'''"""The next version's column."""

import sqlalchemy as sa
from alembic import op

revision = "{NEXT_HEAD}"
down_revision = "{HEAD}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("{MARK}", sa.Text(), nullable=False, server_default=""))
'''


def make_next(root: Path, into: Path) -> Path:
    """The packages of ``root`` with the changes; ``into`` is to be the process's folder and its PYTHONPATH."""
    for package in ("turnout", "functions", "agents"):
        shutil.copytree(root / package, into / package, ignore=shutil.ignore_patterns("__pycache__"))
    field = f'    {MARK}: str = "next"\n'
    core, store = into / "turnout/core", into / "turnout/adapters/store"
    _change(core / "events.py", r'^    kind: Literal\["\w+"\] = "\w+"\n', rf"\g<0>{field}", least=20)
    _change(core / "messages.py", r'^    type: ClassVar\[str\] = "[\w.]+"\n', rf"\g<0>{field}", least=15)
    _change(core / "run.py", r'^    superseded_by: str = ""\n', rf'\g<0>    {MARK}: str = ""\n')
    _change(core / "evolve.py", r"^        id=event.run,\n", rf"\g<0>        {MARK}=event.{MARK},\n")
    _change(store / "folded.py", r'^FORM = "\w+"', 'FORM = "next"')
    _change(store / "schema.py", rf'^HEAD = "{HEAD}"', f'HEAD = "{NEXT_HEAD}"')
    _change(store / "changes.py", r'"UPDATE runs SET status = :status,', rf"\g<0> {MARK} = 'next',")
    (store / f"migrations/versions/v{NEXT_HEAD}_next.py").write_text(MIGRATION)
    return into


def _change(path: Path, pattern: str, by: str, least: int = 1) -> None:
    text, count = re.subn(pattern, by, path.read_text(), flags=re.MULTILINE)
    assert count >= least, f"{path.name} has {count} of {pattern!r}, expected {least}: mend this test"
    path.write_text(text)
