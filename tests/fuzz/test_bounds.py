"""The largest and worst of each kind: how long it takes, and how much memory, is bounded whatever the input says.

Each runs in a process of its own, whose memory is limited by the kernel.
"""

from __future__ import annotations

import gzip
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.fuzz import targets
from turnout.adapters.yaml_source import MAX_BYTES

SECONDS = 5.0
"""Of processor time; most take a few milliseconds, the slowest about one second."""
MEGABYTES = 700
"""Beyond what the process has already, for inputs of up to 25 MB."""

SHA = b"a" * 40
PUSH = b'{"ref": "refs/heads/main", "before": "%s", "after": "%s", "commits": %s, "repository": %s}'
REPOSITORY = b'{"full_name": "a/b", "clone_url": "u"}'
EVENT = b"ce-id: 1\nce-source: s\nce-type: t\nce-specversion: 1.0\n\n"
STRUCTURED = b"content-type: application/cloudevents+json\n\n"


def _stages(lines: Iterable[str]) -> bytes:
    return "".join(["pipeline:\n  stages:\n", *(f"    - {each}\n" for each in lines)]).encode()


def _needing(stages: int, length: int, needs: int) -> bytes:
    """``stages`` with names of ``length`` characters, and one that needs what is not there."""
    asked = ",".join(f"n{number}" for number in range(needs))
    named = [f"{{name: {'x' * length}{number}, agent: lint}}" for number in range(stages)]
    return _stages([*named, f"{{name: z, agent: lint, needs: [{asked}]}}"])


def _all_needing_all() -> bytes:
    every = ",".join(f"s{number}" for number in range(100))
    return _stages(f"{{name: s{number}, agent: lint, needs: [{every}]}}" for number in range(100))


def _matrix(axes: int) -> bytes:
    return _stages(
        ["{name: a, agent: lint, matrix: {" + ",".join(f"a{n}: [1, 2]" for n in range(axes)) + "}}"]
    )


def _delivery(commits: bytes) -> bytes:
    return b"push\n" + PUSH % (SHA, SHA, commits, REPOSITORY)


def _bomb(wide: int, deep: int) -> bytes:
    lines = ["a0: &a0 [" + "x, " * wide + "]"]
    lines += [f"a{n}: &a{n} [" + f"*a{n - 1}, " * wide + "]" for n in range(1, deep)]
    return "\n".join(lines).encode()


def _merges(deep: int) -> bytes:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}" for n in range(1, deep)]
    return "\n".join(lines).encode()


def _glob(pattern: bytes, patterns: int, name: bytes, names: int) -> bytes:
    return b"\n".join([pattern] * patterns) + b"\n\n" + b"\n".join([name] * names)


WORST: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "aliases of aliases": ("yaml", lambda: _bomb(9, 30)),
    "merges of merges": ("yaml", lambda: _merges(900)),
    "one long scalar": ("yaml", lambda: b"9" * (MAX_BYTES - 1)),
    "nothing but openings": ("yaml", lambda: b"[" * (MAX_BYTES - 1)),
    "nothing but keys": ("yaml", lambda: b"? " * (MAX_BYTES // 2 - 1)),
    "one key again and again": ("yaml", lambda: b"a: 1\n" * (MAX_BYTES // 5 - 1)),
    "a key as long as the file": ("yaml", lambda: b"a" * (MAX_BYTES - 10) + b": 1"),
    "quotes": ("yaml", lambda: b"'" * (MAX_BYTES - 1)),
    "directives": ("yaml", lambda: b"%A b\n" * (MAX_BYTES // 5 - 1)),
    "a file of 20 MB": ("yaml", lambda: b"a: 1\n" * 4_000_000),
    "needs that are no stages": ("pipeline", lambda: _needing(99, 60, 18_000)),
    "very long names": ("pipeline", lambda: _needing(90, 2_000, 5_000)),
    "unknown keys": ("pipeline", lambda: b"pipeline:\n" + b"".join(b"  k%d: 1\n" % n for n in range(9_500))),
    "stages that all need each other": ("pipeline", _all_needing_all),
    "a matrix of 5000 axes": ("pipeline", lambda: _matrix(5_000)),
    "patterns that take hours": (
        "glob",
        lambda: _glob(b"**/" + b"a/" * 120 + b"b", 20, b"a/" * 2_000 + b"c", 3),
    ),
    "patterns of stars in one part": ("glob", lambda: _glob(b"*a" * 120 + b"b", 20, b"a" * 4_000, 20)),
    "a schedule without an end": ("field", lambda: b"1," * 100_000),
    "a duration without an end": ("field", lambda: b"1h" * 100_000),
    "a marker that almost is": ("field", lambda: b"[skip " * 100_000),
    "a megabyte of openings": ("http_event", lambda: EVENT + b"[" * 999_000),
    "a megabyte of numbers": (
        "message",
        lambda: b'turnout.run.requested\n{"change": {"paths": [' + b"1," * 490_000 + b"1]}}",
    ),
    "a megabyte of keys": (
        "message",
        lambda: (
            b'turnout.run.cancel\n{"run": "r", ' + b",".join(b'"k%d": 1' % n for n in range(70_000)) + b"}"
        ),
    ),
    "a megabyte of structure": ("envelope", lambda: STRUCTURED + b'{"a":' * 190_000),
    "25 MB of nothing": (
        "delivery",
        lambda: _delivery(b"[" + b"{}," * 8_000_000 + b"{}]")[: 25 * 1024 * 1024],
    ),
    "25 MB of commits": ("delivery", lambda: _delivery(b"[" + b"{}," * 6_000_000 + b"{}]")),
    "25 MB of paths": ("delivery", lambda: _delivery(b'[{"added": [' + b'"x",' * 5_000_000 + b'"y"]}]')),
    "25 MB of gzip": ("delivery", lambda: b"push\n" + gzip.compress(bytes(range(256)) * 90_000, 0)),
    "a report of 20 MB": (
        "report",
        lambda: b"eslint\n[" + b'{"filePath": "a", "messages": []},' * 600_000 + b"7]",
    ),
    "a report of 20 MB of openings": ("report", lambda: b"jest\n" + b"[" * 20_000_000),
    "scripts that call each other twice": ("node_project", lambda: _scripts(60)),
    "one line that never ends": ("channel", lambda: b"\xff" + b"x" * 3_000_000),
    "a secret of one letter, printed for ever": (
        "log",
        lambda: b"\xff" + b"a" * 200 + b"\0" + b"a" * 60_000,
    ),
}


def _scripts(deep: int) -> bytes:
    scripts = ", ".join(f'"s{n}": "npm run s{n + 1} && npm run s{n + 1}"' for n in range(deep))
    return f'{{"scripts": {{"test": "npm run s0", {scripts}, "s{deep}": "true"}}}}'.encode()


def _held(name: str, make: Callable[[], bytes], say: Connection) -> None:
    content = make()
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEGABYTES * 1024**2,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS) * 8, int(SECONDS) * 8))
    began = time.process_time()
    try:
        targets.run(name, content)
    except BaseException as error:
        say.send(f"{type(error).__name__}: {error}"[:500])
    else:
        say.send(time.process_time() - began)


@pytest.mark.parametrize(
    "what", [pytest.param(each, marks=pytest.mark.real) if " MB" in each else each for each in sorted(WORST)]
)
def test_the_worst_of_its_kind_is_bounded_in_time_and_memory(what: str) -> None:
    name, make = WORST[what]
    context = multiprocessing.get_context("fork")
    hear, say = context.Pipe(duplex=False)
    process = context.Process(target=_held, args=(name, make, say))
    process.start()
    say.close()
    try:
        took = hear.recv()
    except EOFError:
        took = "the kernel ended it"
    process.join(10)
    assert isinstance(took, float), took
    assert took < SECONDS
