from __future__ import annotations

from turnout.core.model import Value


class Point(Value):
    x: int
    y: int = 0


def test_a_changed_copy_is_what_pydantic_would_make_of_it() -> None:
    first = Point(x=1)
    for changes in ({}, {"x": 2}, {"y": 3}, {"x": 4, "y": 5}):
        made, theirs = first.with_(**changes), first.model_copy(update=changes)
        assert made == theirs
        assert hash(made) == hash(theirs)
        assert (made.model_fields_set, made.model_dump_json()) == (
            theirs.model_fields_set,
            theirs.model_dump_json(),
        )
        assert (made.__pydantic_extra__, made.__pydantic_private__) == (None, None)
    assert (first, first.model_fields_set) == (Point(x=1), {"x"}), "the first one stays as it is"
