from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.core.globs import TooManySteps, check_pattern, first_match, match, match_any


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("main", "main", True),
        ("main", "Main", False),
        ("main", "main2", False),
        ("*", "main", True),
        ("*", "feature/x", False),
        ("**", "feature/x/y", True),
        ("release/*", "release/1.2", True),
        ("release/*", "release/1/2", False),
        ("release/*", "release", False),
        ("release/**", "release/1/2", True),
        ("release/**", "release", False),
        ("v*", "v1.2.3", True),
        ("v[0-9]*", "v1", True),
        ("v[0-9]*", "vx", False),
        ("v[!0-9]", "vx", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("**/*.py", "a.py", True),
        ("**/*.py", "x/y/a.py", True),
        ("**/*.py", "x/y/a.pyc", False),
        ("src/**/test_*", "src/test_a", True),
        ("src/**/test_*", "src/a/b/test_c", True),
        ("src/**/test_*", "src/a/b/c", False),
        ("**/a/**/b", "x/a/a/y/b", True),
        ("**/a/**/b", "x/a/a/y/c", False),
        ("a.b", "axb", False),
        ("*.md", ".md", True),
    ],
)
def test_patterns_match_as_documented(pattern: str, name: str, matches: bool) -> None:
    assert match(pattern, name) is matches


def test_a_pattern_with_a_bang_takes_away() -> None:
    assert match_any(["src/**", "!**/*.md"], "src/a.py")
    assert not match_any(["src/**", "!**/*.md"], "src/a.md")
    assert match_any(["!main"], "other")
    assert not match_any(["!main"], "main")


def test_the_first_name_that_matches_is_found() -> None:
    assert first_match(["src/**"], ["a", "src/b", "src/c"]) == "src/b"
    assert first_match(["src/**"], ["a"]) is None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "empty"),
        ("!", "empty"),
        ("/src", "write `src`"),
        ("./src/**", "write `src/**`"),
        ("src/", "write `src/**`"),
        ("a//b", "two slashes"),
        ("a**", "alone between slashes"),
        ("[ab", "without its `]`"),
        ("[]ab", "without its `]`"),
        ("x" * 300, "at most 250"),
    ],
)
def test_a_pattern_that_cannot_match_is_refused_with_the_right_one(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        check_pattern(pattern)


def test_no_pattern_takes_long() -> None:
    before = time.process_time()
    assert not match("/".join(["**", "a*a*a*a*b"] * 20), "/".join(["a" * 100] * 100))
    assert not match("a*" * 120 + "b", "a" * 250)
    assert time.process_time() - before < 2


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab*?[]!/-^.", max_size=12), st.text(alphabet="ab/-.", max_size=12))
def test_any_pattern_that_is_accepted_can_be_asked(pattern: str, name: str) -> None:
    try:
        check_pattern(pattern)
    except ValueError:
        return
    assert isinstance(match_any([pattern], name), bool)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", "*", "?", "a*", "**"]), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "b", "ab", "ba"]), min_size=1, max_size=6),
)
def test_the_walk_finds_what_trying_every_way_finds(pattern: list[str], name: list[str]) -> None:
    assert match("/".join(pattern), "/".join(name)) is _every_way(pattern, name)


def _every_way(pattern: list[str], name: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        least = 1 if len(pattern) == 1 else 0
        return any(_every_way(pattern[1:], name[n:]) for n in range(least, len(name) + 1))
    if not name:
        return False
    one = re.fullmatch(pattern[0].replace("*", ".*").replace("?", "."), name[0])
    return one is not None and _every_way(pattern[1:], name[1:])


NEVER = "**/" + "a/" * 120 + "b"
DEEP = "a/" * 2000 + "c"


def test_comparing_is_given_up_where_it_would_take_hours() -> None:
    began = time.process_time()
    assert not match_any([NEVER] * 200, DEEP)
    with pytest.raises(TooManySteps):
        first_match([NEVER] * 200, [DEEP] * 3_000)
    assert time.process_time() - began < 5


def test_very_many_files_are_compared_with_very_many_patterns_all_the_same() -> None:
    names = [f"src/part{number}/tea.py" for number in range(3_000)]
    assert first_match([f"docs/{number}/**" for number in range(50)] + ["src/part2999/*"], names) == names[-1]
