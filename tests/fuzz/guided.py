"""Coverage-guided fuzzing of one target: ``python -m tests.fuzz.guided TARGET --seconds N --found FOLDER``.

libFuzzer's rules hold every single input: `SECONDS` to end in, `MEGABYTES` of memory for the whole process. An input
that breaks a rule, or makes the target raise what it must not, ends the process with a status that is not 0 and lies
in the folder ``--found`` as ``crash-…``, ``timeout-…`` or ``oom-…``; move it to ``tests/fuzz/corpus/TARGET`` once it
is mended, and `test_corpus` keeps it so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

SECONDS = 5
MEGABYTES = 2048

with atheris.instrument_imports(include=["turnout", "agents"], enable_loader_override=False):
    from tests.fuzz import targets


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("target", choices=sorted(targets.TARGETS))
    given.add_argument("--seconds", type=int, default=60)
    given.add_argument("--seed", type=int, default=0, help="0: another one each time")
    given.add_argument("--found", type=Path, required=True)
    chosen = given.parse_args()
    target = targets.TARGETS[chosen.target]
    grown = chosen.found / "grown" / chosen.target
    grown.mkdir(parents=True, exist_ok=True)
    words = chosen.found / f"{chosen.target}.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    kept = targets.CORPUS / chosen.target
    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={chosen.seconds}",
            f"-timeout={SECONDS}",
            f"-rss_limit_mb={MEGABYTES}",
            f"-max_len={target.longest}",
            f"-seed={chosen.seed}",
            f"-dict={words}",
            f"-artifact_prefix={chosen.found}/{chosen.target}-",
            "-print_final_stats=1",
            "-verbosity=0",
            str(grown),
            *([str(kept)] if kept.is_dir() else []),
        ],
        lambda content: targets.run(chosen.target, content),
    )
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
