from __future__ import annotations

import pytest

from agents.script.outputs import LONGEST, MOST, read_outputs
from agents.sdk.workspace import AgentError


def said(content: str | bytes, declared: tuple[str, ...] = ()) -> str:
    with pytest.raises(AgentError) as caught:
        read_outputs(content.encode() if isinstance(content, str) else content, declared)
    return str(caught.value)


def test_lines_and_blocks_become_outputs() -> None:
    content = b"image=registry/app:1=2\n\nnotes<<END\nfirst\n  a=b<<c\n\nEND\nempty=\nimage=later\n"
    assert read_outputs(content, ()) == {"image": "later", "notes": "first\n  a=b<<c\n", "empty": ""}


def test_a_value_may_hold_what_looks_like_a_block() -> None:
    assert read_outputs(b"shift=1<<3\n", ()) == {"shift": "1<<3"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("good=1\nno equals sign", "line 2: 'no equals sign' has no '='"),
        ("1st=x", "'1st' is no name"),
        ("a-b=x", "'a-b' is no name"),
        ("=x", "'' is no name"),
        ("notes<<END\nfirst\n", "line 1: 'notes' has no line 'END' at its end"),
        ("notes<<\nfirst\n\n", "line 1: 'notes' has no line '' at its end"),
        (b"a=\xff", "not UTF-8"),
        ("a=" + "x" * (LONGEST + 1), f"at most {LONGEST} are taken"),
        ("\n".join(f"a{n}=1" for n in range(MOST + 1)), f"at most {MOST} are taken"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(content: str | bytes, expected: str) -> None:
    assert expected in said(content)


def test_declared_outputs_must_be_there_and_be_all() -> None:
    assert read_outputs(b"a=1\n", ("a",)) == {"a": "1"}
    assert "did not write b" in said("a=1\n", ("a", "b"))
    assert "c written, but not declared" in said("a=1\nc=2\n", ("a",))
