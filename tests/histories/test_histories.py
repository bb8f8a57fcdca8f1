"""Runs that were stored years ago are what they were: their events load, and mean what they meant."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from tests.histories.kept import Kept, differences, digest, kept, state_of
from turnout.core import events as e
from turnout.core.causes import causes, chain
from turnout.core.explain import explain
from turnout.core.replay import rebuild

CHANGED = """\
{name}: the same stored events come to another run than when they were written:
  {what}
Runs of this kind are in people's stores, and time travel, explanations and retries would now tell something else.
Let the old event mean what it meant: undo the change of `evolve` or of the model, or add a new event, or a new field
with a default, for what is new. Only if no store can hold such a run: delete tests/histories/{name}.json and .jsonl.
"""
REWORDED = """\
{name}: it is explained in other words than before:
  {what}
If that was meant, `make histories` writes the new words down, and the difference is there to be read.
"""
UNREADABLE = """\
{name}: event {number} can't be read any more: {what}
Runs in people's stores have such events, and could not be loaded. A new field needs a default; a field or a value that
is not used any more stays in the model.
"""
STORED = kept()


@pytest.mark.parametrize("stored", STORED, ids=lambda each: each.name)
def test_a_stored_history_means_what_it_meant(stored: Kept) -> None:
    history = [loaded(stored, number, line) for number, line in enumerate(stored.lines, start=1)]
    said, state = stored.said, state_of(rebuild(history))
    assert digest(said["state"]) == said["digest"], "somebody has changed the state by hand"
    if digest(state) != said["digest"]:
        what = "\n  ".join(differences(said["state"], state))
        pytest.fail(CHANGED.format(name=stored.name, what=what), pytrace=False)
    words = list(explain(history))
    if words != said["explain"]:
        what = "\n  ".join(differences(said["explain"], words, "line"))
        pytest.fail(REWORDED.format(name=stored.name, what=what), pytrace=False)
    found = causes(history)
    assert len(found) == len(history)
    assert all(chain(found, each.version)[-1].heard for each in found)


def loaded(stored: Kept, number: int, line: str) -> e.Event:
    what = ""
    try:
        return e.load(line)
    except ValidationError as error:
        what = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    pytest.fail(UNREADABLE.format(name=stored.name, number=number, what=what), pytrace=False)


def test_every_kind_of_event_is_there_in_every_generation_that_had_it() -> None:
    kinds = {each.model_fields["kind"].default for each in e.Occurred.__subclasses__()}
    stored = {json.loads(line)["kind"] for each in STORED for line in each.lines}
    assert stored == kinds, (
        "tell a story with the new event in tests/histories/stories.py, then `make histories`"
    )
    assert len({each.path.parent for each in STORED}) > 1


def test_events_of_the_first_generation_lack_what_was_added_since_and_load() -> None:
    old = "".join(line for each in STORED if each.path.parent.name == "1" for line in each.lines)
    assert old
    for added in ('"rulings"', '"lease_until"', '"proposal"'):
        assert added not in old


def test_an_event_without_any_field_that_has_a_default_is_the_same_event() -> None:
    for stored in STORED:
        for line in stored.lines:
            event = e.load(line)
            assert (
                e.load(event.model_dump(mode="json", exclude_defaults=True) | {"kind": event.kind}) == event
            )


def test_a_change_of_meaning_is_told_with_what_differs() -> None:
    was = {"a": {"b": [1, {"c": 2}]}, "d": None}
    assert list(differences(was, {"a": {"b": [1, {"c": 3}]}, "d": "x"})) == [
        "a.b[1].c: was 2, is 3",
        'd: was null, is "x"',
    ]
