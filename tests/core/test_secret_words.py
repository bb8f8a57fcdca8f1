from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.core.secret_words import digest, looks_right, spell


@given(st.binary(min_size=32, max_size=32), st.integers(0, 66), st.characters())
def test_a_mistyped_token_is_known_without_asking_anybody(chance: bytes, at: int, typed: str) -> None:
    token = spell(chance)
    assert looks_right(token)
    assert token.isalnum() or token.replace("_", "").isalnum()
    wrong = token[:at] + typed + token[at + 1 :]
    assert looks_right(wrong) == (wrong == token)


@given(st.text())
def test_nothing_else_looks_like_a_token(text: str) -> None:
    assert not looks_right(text)
    assert len(digest(text)) == 64
