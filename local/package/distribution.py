"""Makes the Python distribution, a wheel and its source, in ``dist/``: ``python -m local.package.distribution``.

Of what is committed, and the same bytes for the same commit: every file bears the commit's time, and nothing of the
machine or of who built it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agents.sdk.untar import untar
from turnout.core.errors import PermanentError

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("LICENSE", "README.md", "agents", "functions", "pyproject.toml", "requirements.in", "turnout")
"""What the distribution is made of. No tests: they need the rest of the repository."""


def build(root: Path, into: Path) -> list[Path]:
    """The source distribution, and the wheel that is built from it. Raises: PermanentError."""
    sha, seconds = _git(root, "log", "-1", "--format=%H %ct").decode().split()
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="turnout-dist-") as folder:
        tree = Path(folder) / "tree"
        with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", sha, *PARTS))) as archive:
            untar(archive, tree)
        (tree / "turnout" / "COMMIT").write_text(f"{sha}\n")
        made = Path(folder) / "dist"
        _backend(tree, made, seconds)
        (wheel,), (sdist,) = made.glob("*.whl"), made.glob("*.tar.gz")
        (into / sdist.name).write_bytes(repacked(sdist.read_bytes(), int(seconds)))
        (into / wheel.name).write_bytes(wheel.read_bytes())
    return [into / sdist.name, into / wheel.name]


def repacked(archive: bytes, seconds: int) -> bytes:
    """A ``.tar.gz`` of the same files, in order, with one time and no owners."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as source,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for entry in sorted(source.getmembers(), key=lambda each: each.name):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = seconds
            entry.pax_headers = {}
            target.addfile(entry, source.extractfile(entry) if entry.isfile() else None)
    return gzip.compress(packed.getvalue(), mtime=seconds)


def _backend(tree: Path, into: Path, seconds: str) -> None:
    """setuptools, of the lock: nothing is fetched."""
    uv = Path(sys.executable).with_name("uv")
    argv: list[str | Path] = [
        uv,
        "build",
        "--quiet",
        "--offline",
        "--no-build-isolation",
        "--python",
        sys.executable,
    ]
    ran = subprocess.run(
        [*argv, "--out-dir", into, tree],
        env=os.environ | {"SOURCE_DATE_EPOCH": seconds, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
    )
    if ran.returncode:
        raise PermanentError(f"the build failed: {ran.stdout}{ran.stderr}", "mend what it names, and commit")


def _git(root: Path, *words: str) -> bytes:
    ran = subprocess.run(["git", "-C", root, *words], capture_output=True, check=False)
    if ran.returncode:
        raise PermanentError(f"git {words[0]}: {ran.stderr.decode().strip()}", "build in a clone of it")
    return ran.stdout


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="make dist", description="Make the wheel and the source distribution."
    )
    parser.add_argument("--into", type=Path, default=ROOT / "dist")
    given = parser.parse_args(argv)
    try:
        for path in build(ROOT, given.into):
            print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")
    except PermanentError as error:
        print(f"dist: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
