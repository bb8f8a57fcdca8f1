from __future__ import annotations

from itertools import combinations

from tests.core.building import Story, a_plan, stage
from turnout.console.pages.layered import laid_out, reduced
from turnout.console.pages.picture import Picture, picture
from turnout.core import messages as m
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.reporting.view import Light


def drawn(story: Story) -> Picture:
    found = picture(story.run)
    assert found is not None
    return found


def test_each_stage_stands_right_of_what_it_needs() -> None:
    found = drawn(Story.of(a_plan(stage("a"), stage("b", "a"), stage("c", "a"), stage("d", "b", "c"))))
    place = {box.stage: box for box in found.boxes}
    for edge in found.edges:
        assert place[edge.source].x + place[edge.source].width < place[edge.target].x
    assert place["b"].x == place["c"].x


def test_no_two_boxes_overlap() -> None:
    plan = a_plan(
        stage("a", cells=[str(n) for n in range(20)]),
        stage("b"),
        stage("c", "a"),
        stage("d", "a", "b"),
        stage("e", "a", cells=["x", "y"]),
        stage("f", "c", "d"),
        stage("g", "b"),
    )
    found = drawn(Story.of(plan))
    for one, other in combinations(found.boxes, 2):
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart, (one.stage, other.stage)
    assert all(box.x >= 0 and box.x + box.width <= found.width for box in found.boxes)
    assert all(box.y >= 0 and box.y + box.height <= found.height for box in found.boxes)


def test_needs_that_follow_from_others_are_not_drawn() -> None:
    assert reduced({"a": (), "b": ("a",), "c": ("a", "b")}) == {"a": (), "b": ("a",), "c": ("b",)}


def test_a_long_edge_goes_around_the_boxes_between() -> None:
    layout = laid_out(
        {"a": (), "b": ("a",), "c": ("b",), "x": (), "d": ("c", "x")}, dict.fromkeys("abcxd", 58)
    )
    (bend, *_) = [bend for bend in layout.bends if bend.layer == 1]
    assert (bend.need, bend.name) == ("x", "d")
    assert layout.bends[bend][1] not in range(layout.places["b"][1], layout.places["b"][1] + 58)


def test_cells_show_their_own_lights() -> None:
    story = Story.of(a_plan(stage("unit", cells=["one", "two"], fail_fast=False)))
    story.starts("unit[one]")
    story.ends("unit[one]")
    (box,) = drawn(story).boxes
    assert [(cell.label, cell.light) for cell in box.cells] == [
        ("one", Light.SUCCESS),
        ("two", Light.RUNNING),
    ]
    assert "1 of 2 cells passed" in box.said


def test_a_picture_says_in_words_what_it_shows() -> None:
    story = Story.of(
        a_plan(stage("test", agent="test", retries=1), stage("ship", "test", approval=Approval()))
    )
    story.starts("test")
    story.ends("test", Outcome.FAILURE)
    story.later(0)
    story.starts("test")
    story.now = story.run.stages["test"].started_at or story.now
    story.ends("test")
    test, ship = drawn(story).boxes
    assert test.said.startswith("test: passed, test agent")
    assert ("2 tries", Light.SUCCESS) in test.badges
    assert ship.badges == (("approval 0/1", Light.WAITING),)
    assert "ship: waiting" in ship.said
    assert "after test" in ship.said


def test_a_rollback_is_an_edge_back_below_everything() -> None:
    story = Story.of(a_plan(stage("ship"), stage("smoke", "ship", rollback="ship")))
    for task, outcome in (("ship", Outcome.SUCCESS), ("smoke", Outcome.FAILURE)):
        story.starts(task)
        story.ends(task, outcome)
    found = drawn(story)
    (edge,) = [edge for edge in found.edges if edge.kind == "rollback"]
    assert (edge.source, edge.target) == ("smoke", "ship")
    assert ("rolling back", Light.RUNNING) in found.boxes[0].badges
    assert found.height > max(box.y + box.height for box in found.boxes) + 20


def test_edges_say_whether_their_need_has_ended_well() -> None:
    story = Story.of(a_plan(stage("a"), stage("b", "a")))
    assert [edge.kind for edge in drawn(story).edges] == ["open"]
    story.starts("a")
    story.ends("a", Outcome.FAILURE)
    assert [edge.kind for edge in drawn(story).edges] == ["blocked"]


def test_a_cancelled_approval_says_that_it_was_not_given() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval())))
    story.hear(m.Reject(run="r1", stage="ship", by="alan"))
    (box,) = drawn(story).boxes
    assert box.badges == (("not approved", Light.CANCELLED),)


def test_without_a_plan_there_is_no_picture() -> None:
    assert picture(Story.of(None).run) is None
