"""How a JavaScript project runs its tests: its ``test`` script, taken apart.

``npm run lint && nyc mocha -r esm "test/**/*.js"`` says which runner there is and what it wants to be given. The part
that starts the runner is run as it stands (with a reporter added), the parts before it are run first, except linters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

RUNNERS = {
    "jest": "jest", "jest.js": "jest", "mocha": "mocha", "_mocha": "mocha", "mocha.js": "mocha",
    "vitest": "vitest", "vitest.mjs": "vitest",
}  # fmt: skip
"""The last part of a word of a command, and which runner it starts."""

MOST = 100
"""Commands; scripts that call each other twice over come to any number of them."""

_WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+""")
_LINTERS = {"eslint", "standard", "xo", "prettier", "jshint", "jscs", "tslint", "biome", "semistandard", "depcheck",
            "commitlint", "lint-staged", "size-limit", "publint", "attw", "dtslint", "tsd", "ls-lint"}  # fmt: skip
_LINT_SCRIPT = re.compile(r"(^|:)(pre)?(lint|eslint|prettier|format|style|standard|type-?check|types?)(:|$)")
_WRAPPERS = {"nyc", "c8", "npx", "yarn", "pnpm"}
_PLACEHOLDER = re.compile(r"no test specified")


@dataclass(frozen=True, slots=True)
class Command:
    """A part of a script, as a shell takes it. ``runner`` is empty where it starts none that is known."""

    text: str
    runner: str = ""


class Unclear(Exception):
    """The script uses more of the shell than can be taken apart safely."""


def read_script(scripts: Mapping[str, str], name: str = "test") -> tuple[Command, ...]:
    """The commands behind a script, other scripts that it calls included; linters left out.

    Raises: Unclear.
    """
    found = tuple(islice(_expand(scripts, name, ()), MOST + 1))
    if len(found) > MOST:
        raise Unclear(f"{name} comes to more than {MOST} commands")
    return found


def is_placeholder(scripts: Mapping[str, str]) -> bool:
    """Whether there is no test script but what ``npm init`` writes."""
    return bool(_PLACEHOLDER.search(scripts.get("test", "no test specified")))


def _expand(scripts: Mapping[str, str], name: str, above: tuple[str, ...]) -> Iterator[Command]:
    if name in above:
        raise Unclear(f"{name} calls itself")
    for each in (f"pre{name}", name, f"post{name}"):
        if each in scripts and not _LINT_SCRIPT.search(each):
            for part in _parts(scripts[each]):
                yield from _command(scripts, part, (*above, name))


@dataclass(frozen=True, slots=True)
class _Part:
    """One command of a script. ``places``: where each of its words begins in ``text``; ``words``: without quotes.

    ``first``: the first word that is no setting of the environment.
    """

    text: str
    places: tuple[int, ...]
    words: tuple[str, ...]
    first: int

    @property
    def program(self) -> str:
        return _base(self.words[self.first])


def _parts(text: str) -> Iterator[_Part]:
    """The commands between ``&&``. Raises: Unclear."""
    bare = re.sub(r"""\\.|"(?:\\.|[^"\\])*"|'[^']*'""", lambda quoted: "_" * len(quoted[0]), text)
    if re.search(r"[|;<>()`\n]|(?<!&)&(?!&)", bare):
        raise Unclear(text)
    start = 0
    for end in [*(match.start() for match in re.finditer("&&", bare)), len(text)]:
        found = list(_WORD.finditer(text, start, end))
        start = end + 2
        words = tuple(re.sub(r"""["']""", "", match[0]) for match in found)
        first = next((index for index, word in enumerate(words) if not _is_setting(word)), None)
        if first is not None:
            begin = found[0].start()
            places = tuple(match.start() - begin for match in found)
            yield _Part(text[begin:end].strip(), places, words, first)


def _command(scripts: Mapping[str, str], part: _Part, above: tuple[str, ...]) -> Iterator[Command]:
    called = _called(part)
    if part.program in _LINTERS:
        return
    if called and all(name in scripts for name in called):
        for name in called:
            yield from _expand(scripts, name, above)
        return
    words = part.words
    runner = next((index for index in range(part.first, len(words)) if _base(words[index]) in RUNNERS), None)
    if runner is not None and (part.program != "node" or "node_modules" in words[runner]):
        yield Command(_from(part, runner), RUNNERS[_base(words[runner])])
    elif part.program in ("react-scripts", "tsdx") and "test" in words:
        yield Command(part.text, "jest")
    elif "--test" in words and "node" in words:
        yield Command(_from(part, words.index("node")), "node")
    else:
        yield Command(part.text)


def _from(part: _Part, index: int) -> str:
    """A command without the wrapper (coverage, npx) in front of what it wraps; settings stay."""
    if part.program not in _WRAPPERS:
        return part.text
    settings = part.text[: part.places[part.first]]
    return settings + part.text[part.places[index] :]


def _called(part: _Part) -> list[str]:
    """Names of the scripts that a command calls, also behind nyc and the like."""
    words = part.words
    for index in range(part.first, len(words)):
        match words[index : index + 3]:
            case ("npm" | "pnpm" | "yarn", "run" | "run-script", name, *_):
                return [name]
            case ("npm" | "pnpm" | "yarn", "test" | "t" | "tst", *_):
                return ["test"]
            case ("yarn" | "pnpm", name, *_) if index == part.first:
                return [name]
            case ("run-s", *_) if index == part.first:
                return [word for word in words[index + 1 :] if not word.startswith("-")]
        if part.program not in _WRAPPERS:
            break
    return []


def _is_setting(word: str) -> bool:
    return bool(re.match(r"[A-Za-z_]\w*=", word)) or word in ("cross-env", "env", "cross-env-shell")


def _base(word: str) -> str:
    return word.rpartition("/")[2]
