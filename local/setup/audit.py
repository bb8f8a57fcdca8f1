"""`make audit`: are the dependencies what the lock files say, down to each file, and is any of them known to be bad?

The last question goes to a service on the network. Where it does not answer, this says ``not checked``, never that all
is well; ``--advisories`` makes that an error.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local.setup.installed import file_problems, version_problems
from local.setup.locks import npm_problems, read_pins, requirement_problems

ROOT = Path(__file__).resolve().parents[2]
OWN = frozenset({"turnout", "pip"})
"""Besides the lock: the project itself, and what Python puts into every virtual environment."""
LEFT_OUT = re.compile(r"^local/sample/|/corpus/")
TIMEOUT = 120.0  # seconds for the advisories of one lock file
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Verdict:
    """``clean``: None where it was not checked, and ``said`` why."""

    clean: bool | None
    said: str


def tracked(root: Path) -> list[Path]:
    """The files of the repository, the fuzzers' and the demo's shop left out: nothing of it is installed by us, and it
    is vulnerable on purpose. Raises: CalledProcessError where it is none."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
    ).stdout.decode()
    return [root / name for name in listed.split("\0") if name and not LEFT_OUT.search(name)]


def python_locks(files: Sequence[Path]) -> list[Path]:
    return [path for path in files if path.name.startswith("requirements") and path.suffix == ".txt"]


def npm_locks(files: Sequence[Path]) -> list[Path]:
    return [path for path in files if path.name in ("package-lock.json", "npm-shrinkwrap.json")]


def audit(root: Path, site: Path, installed: Path, files: Sequence[Path]) -> list[str]:
    """``installed``: the lock that ``site``, a folder of site-packages, was made from. What is wrong."""
    problems = [each for lock in python_locks(files) for each in requirement_problems(lock)]
    problems += [each for lock in npm_locks(files) for each in npm_problems(lock)]
    pins, _ = read_pins(installed.read_text("utf-8"), str(installed))
    problems += version_problems(site, pins, OWN)
    problems += file_problems(site)
    return [each.replace(f"{root}/", "") for each in problems]


def python_advisories(program: str, lock: Path, environ: dict[str, str]) -> Verdict:
    """What pip-audit says. It exits 0 also when it skipped everything, so its report is read, not its exit status."""
    with TemporaryDirectory(prefix="turnout-audit-") as folder:
        report = Path(folder, "report.json")
        argv = [program, "--strict", "--disable-pip", "--require-hashes", "--progress-spinner", "off"]
        argv += ["--timeout", "15", "--requirement", str(lock), "--format", "json", "--output", str(report)]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, env=environ, timeout=TIMEOUT, check=False
            )
        except FileNotFoundError:
            return Verdict(None, f"{program} is not installed")
        except subprocess.TimeoutExpired:
            return Verdict(None, f"no answer within {TIMEOUT:g} s")
        try:
            return judge(json.loads(report.read_text("utf-8")), lock)
        except (OSError, ValueError):
            words = [line for line in done.stderr.splitlines() if line.strip()]
            return Verdict(None, words[-1][:200] if words else f"{program} ended with {done.returncode}")


def judge(report: Any, lock: Path) -> Verdict:
    """Clean only if every pin of the lock was really looked up."""
    entries = {str(each["name"]): each for each in report["dependencies"]}
    bad = [
        f"{name} {each['version']}: {', '.join(known['id'] for known in each['vulns'])}"
        for name, each in sorted(entries.items())
        if each.get("vulns")
    ]
    if bad:
        return Verdict(False, "; ".join(bad))
    pins, _ = read_pins(lock.read_text("utf-8"), str(lock))
    asked = {name for name, each in entries.items() if "skip_reason" not in each}
    if missing := sorted({pin.name for pin in pins if pin.needed} - asked):
        return Verdict(None, f"{len(missing)} of {len(pins)} were not looked up, {missing[0]} among them")
    return Verdict(True, f"nothing is known against any of {len(asked)}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--site", type=Path, default=Path(sysconfig.get_paths()["purelib"]))
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements-dev.txt")
    parser.add_argument("--pip-audit", default="pip-audit", help="the program that asks for advisories")
    parser.add_argument("--advisories", action="store_true", help="not to be able to ask is an error")
    given = parser.parse_args(arguments)
    files = tracked(ROOT)
    locks = [*python_locks(files), *npm_locks(files)]
    problems = audit(ROOT, given.site, given.lock, files)
    for each in problems[:SHOWN]:
        print(f"✘ {each}")
    if len(problems) > SHOWN:
        print(f"✘ … and {len(problems) - SHOWN} more")
    if not problems:
        names = ", ".join(str(path.relative_to(ROOT)) for path in locks)
        print(f"✔ pinned, with hashes: {names}")
        print(f"✔ installed as locked, every file as it was installed: {given.site}")
    failed = bool(problems)
    for lock in python_locks(files):
        verdict = python_advisories(given.pip_audit, lock, dict(os.environ))
        mark = {True: "✔ advisories", False: "✘ advisories", None: "? advisories not checked"}[verdict.clean]
        print(f"{mark}, {lock.relative_to(ROOT)}: {verdict.said}")
        failed |= verdict.clean is False or (given.advisories and verdict.clean is None)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    sys.exit(main())
