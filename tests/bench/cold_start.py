"""How long each function takes from nothing to its first answer: ``python -m tests.bench.cold_start``.

Each is served out of its package by functions-framework in a fresh interpreter, nothing compiled is written, and is
compared with a function that says hello, in the same rounds, in turn. Writes the table of docs/cold-start.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import py_compile
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import uuid4

from local.package.build import ALL, Packages
from tests.bench.figures import Spread
from tests.bench.render import DOCS, between, number, table
from tests.local.first_requests import ANSWERS, SETTINGS, First
from turnout import wiring
from turnout.adapters.settings import read_settings

PAGE = DOCS / "cold-start.md"
HELLO = "hello"
"""What all are compared with: nothing but the framework, as everybody's function has it."""
BARE = "import functions_framework\n\n@functions_framework.http\ndef hello(request):\n    return 'hello'\n"
WITHIN = 120.0  # seconds
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")


@dataclass(frozen=True)
class Start:
    """``wall``, ``cpu``: milliseconds until the answer; cpu of its processes, to their end. ``memory``: MB of them all,
    shared pages shared out."""

    wall: float
    cpu: float
    memory: float


@dataclass(frozen=True)
class Served:
    """A function in a folder of its own."""

    name: str
    folder: Path
    first: First
    environ: Mapping[str, str]

    def start(self) -> Start:
        """Raises: AssertionError for another answer than it is to give."""
        began = time.perf_counter()
        process, port = self._begin()
        try:
            status, body = _asked(port, self._next(), process)
            wall = (time.perf_counter() - began) * 1000
            assert (status, self.first.said in body) == (self.first.status, True), (
                f"{self.name}: {status} {body}"
            )
            memory = sum(_memory(each) for each in (process.pid, *_children(process.pid)))
        finally:
            process.send_signal(signal.SIGTERM)
            _, _, used = os.wait4(process.pid, 0)
            process.returncode = 0
        return Start(wall, (used.ru_utime + used.ru_stime) * 1000, memory)

    def imports(self) -> dict[str, float]:
        """Module to the milliseconds that it took by itself, until the answer."""
        with tempfile.TemporaryFile("w+") as said:
            process, port = self._begin("-X", "importtime", said=said.fileno())
            try:
                _asked(port, self._next(), process)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
            said.seek(0)
            found = [_IMPORT.match(line) for line in said]
        return {each[4]: int(each[1]) / 1000 for each in found if each}

    def _next(self) -> First:
        """Another delivery each time."""
        new = {name: uuid4().hex for name in self.first.headers if name == "x-github-delivery"}
        return self.first._replace(headers=self.first.headers | new)

    def _begin(self, *how: str, said: int = subprocess.DEVNULL) -> tuple[subprocess.Popen[bytes], int]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        argv = [sys.executable, "-S", *how, "-m", "functions_framework"]
        argv += ["--source", "main.py", "--target", self.name, "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(
            argv, cwd=self.folder, env=dict(self.environ), stdout=subprocess.DEVNULL, stderr=said
        )
        return process, port


def places(into: Path, only: Sequence[str] = ALL) -> list[Served]:
    """The functions, and `HELLO`, each in a folder; not compiled yet."""
    home = into / "home"
    home.mkdir(exist_ok=True)
    wiring.prepare(read_settings({"TURNOUT_HOME": str(home)}))
    environ = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environ |= {"PYTHONPATH": sysconfig.get_path("purelib"), "PYTHONDONTWRITEBYTECODE": "1", "THREADS": "8"}
    found = [Served(HELLO, into / HELLO, First("GET", "/", {}, "", 200, "hello"), environ)]
    (into / HELLO).mkdir()
    (into / HELLO / "main.py").write_text(BARE)
    packages = Packages()
    for name in only:
        folder = into / name
        for path, content in packages.of(name).files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        own = environ | SETTINGS | {"TURNOUT_HOME": str(home), "HOME": str(home)}
        found.append(Served(name, folder, ANSWERS[name], own))
    return found


def compile_all(served: Sequence[Served]) -> None:
    """As Cloud Functions leaves them when it is told `SOURCE_DATE_EPOCH`. Without that they are not compiled when they
    start, or what is compiled is not believed."""
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    for source in (source for each in served for source in each.folder.rglob("*.py")):
        py_compile.compile(str(source), doraise=True, invalidation_mode=mode)


def rounds(served: Sequence[Served], count: int, *, forget: bool = False) -> dict[str, list[Start]]:
    """All in turn, ``count`` times. ``forget``: after the files have been forgotten by the kernel, where nobody else
    has them open."""
    found: dict[str, list[Start]] = {each.name: [] for each in served}
    for number_ in range(count):
        for each in served:
            if forget:
                _forget(each.folder)
                _forget(Path(sysconfig.get_path("purelib")))
            found[each.name].append(each.start())
            print(
                f"{number_ + 1} of {count}: {each.name} {found[each.name][-1]}", file=sys.stderr, flush=True
            )
    return found


def ratio(found: Mapping[str, Sequence[Start]], name: str, measure: str) -> float:
    """The median of the rounds' own."""
    pairs = zip(found[name], found[HELLO], strict=True)
    return float(median(getattr(each, measure) / getattr(hello, measure) for each, hello in pairs))


def _asked(port: int, first: First, process: subprocess.Popen[bytes]) -> tuple[int, str]:
    deadline = time.monotonic() + WITHIN
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
        try:
            connection.request(first.method, first.path, first.body.encode() or None, first.headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() < deadline, "it does not start"  # noqa: PT018
            time.sleep(0.002)
        finally:
            connection.close()


def _children(pid: int) -> Iterator[int]:
    for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(each)
        yield from _children(int(each))


def _memory(pid: int) -> float:
    said = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in said.splitlines() if line.startswith("Pss:")) / 1000


def _forget(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in (".py", ".pyc", ".so") and path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def page(
    warm: Mapping[str, Sequence[Start]],
    cold: Mapping[str, Sequence[Start]],
    plain: Mapping[str, Sequence[Start]],
    imported: Mapping[str, Mapping[str, float]],
) -> str:
    """The table. ``plain``: not compiled."""
    head = (
        "function", "first answer, ms", "of hello's", "processor, ms", "of hello's", "files forgotten, ms",
        "not compiled, ms", "modules", "imports, ms", "memory, MB",
    )  # fmt: skip
    rows = []
    for name in sorted(warm, key=lambda each: ratio(warm, each, "cpu")):
        walls = Spread.of(each.wall for each in warm[name])
        rows.append(
            [
                name,
                f"{number(walls.p50)} ({number(walls.p5)} – {number(walls.p95)})",
                number(ratio(warm, name, "wall")),
                number(median(each.cpu for each in warm[name])),
                number(ratio(warm, name, "cpu")),
                number(median(each.wall for each in cold[name])),
                number(median(each.wall for each in plain[name])),
                str(len(imported[name])),
                number(sum(imported[name].values())),
                number(median(each.memory for each in warm[name])),
            ]
        )
    return table(head, rows)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="make cold-start", description="Measure each function's first answer."
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="these functions, separated by blanks or commas")
    parser.add_argument(
        "--imports", action="store_true", help="show what the imports of each cost, and no more"
    )
    given = parser.parse_args(argv)
    only = given.only.replace(",", " ").split() or list(ALL)
    with tempfile.TemporaryDirectory(prefix="turnout-cold-") as folder:
        served = places(Path(folder), only)
        uncompiled = {} if given.imports else rounds(served, max(1, given.rounds // 2))
        compile_all(served)
        imported = {each.name: each.imports() for each in served}
        if given.imports:
            print(json.dumps(imported, indent=1))
            return 0
        warm = rounds(served, given.rounds)
        cold = rounds(served, max(1, given.rounds // 2), forget=True)
    figures = page(warm, cold, uncompiled, imported)
    print(figures)
    if not given.only:
        PAGE.write_text(between(PAGE.read_text(), "cold start", figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
