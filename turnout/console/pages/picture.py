"""A run's stages as a picture. Pure: the template only writes down what stands here. All lengths are in CSS pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from turnout.console.pages.layered import laid_out, reduced, width_of
from turnout.console.pages.lights import LIGHT_WORDS, cell_name, span_words, stage_lights, task_light
from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage
from turnout.core.run import Run, Stage, StageStatus
from turnout.reporting.view import Light

HEIGHT = 58
ROW, CELL = 19, 20
NAMED_CELLS = 6
"""A matrix with more cells is drawn as a grid of marks."""
LETTER, SMALL = 7.6, 6.3
"""Of a name and of what stands below it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """``x`` and ``y`` from the box's corner. ``label`` is empty in a grid of marks."""

    task: str
    light: Light
    label: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Box:
    """``line``: below the name. ``badges``: words at its foot, each with its light. ``said``: all of it, in words."""

    stage: str
    label: str
    line: str
    light: Light
    x: int
    y: int
    width: int
    height: int
    cells: tuple[Cell, ...]
    badges: tuple[tuple[str, Light], ...]
    said: str


@dataclass(frozen=True, slots=True)
class Edge:
    """``d``: an SVG path. ``kind``: ``done`` (its need has ended well), ``blocked``, ``open`` or ``rollback``."""

    d: str
    kind: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Picture:
    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


def picture(run: Run) -> Picture | None:
    """None where there is no plan."""
    if run.plan is None or not run.plan.stages:
        return None
    lights = stage_lights(run)
    needs = reduced({each.name: each.needs for each in run.plan.stages})
    width, _ = width_of(needs)
    shapes = {
        each.name: _box(each, run.stages[each.name], lights[each.name], width) for each in run.plan.stages
    }
    layout = laid_out(needs, {name: box.height for name, box in shapes.items()})
    edges = [
        Edge(layout.edge(need, name), _kind(run.stages[need]), need, name)
        for name, wanted in needs.items()
        for need in wanted
    ]
    undone = [
        (stage.rollback.because, stage.name)
        for stage in run.stages.values()
        if stage.rollback is not None and stage.rollback.because != stage.name
    ]
    bottom = layout.bottom
    for because, name in undone:
        bottom += 12
        edges.append(Edge(layout.back(because, name, bottom), "rollback", because, name))
    boxes = (replace(box, x=layout.places[name][0], y=layout.places[name][1]) for name, box in shapes.items())
    return Picture(layout.right, bottom + (10 if undone else 0), tuple(boxes), tuple(edges))


def _box(planned: PlannedStage, stage: Stage, light: Light, width: int) -> Box:
    """Without its place."""
    cells = tuple(_cells(planned, stage, width)) if len(stage.tasks) > 1 else ()
    top = max(cell.y for cell in cells) + (ROW if cells[0].label else CELL) + 6 if cells else HEIGHT
    badges = tuple(_badges(planned, stage))
    took = span_words(stage.started_at, stage.finished_at)
    line = " · ".join(part for part in (_what(planned), took) if part)
    passed = sum(task.outcome is Outcome.SUCCESS for task in stage.tasks.values())
    said = (
        f"{planned.name}: {LIGHT_WORDS[light]}",
        f"{planned.agent} agent",
        f"after {', '.join(planned.needs)}" if planned.needs else "",
        f"{passed} of {len(cells)} cells passed" if cells else "",
        f"took {took}" if took else "",
        *(word for word, _ in badges),
    )
    return Box(
        stage=planned.name,
        label=shortened(planned.name, int((width - 46) / LETTER)),
        line=shortened(line, int((width - 46) / SMALL)),
        light=light,
        x=0,
        y=0,
        width=width,
        height=top + (20 if badges else 0),
        cells=cells,
        badges=badges,
        said=", ".join(part for part in said if part),
    )


def _what(planned: PlannedStage) -> str:
    """The agent, unless the name says it already; of a deploy the environment says more."""
    if planned.environment and planned.environment != planned.name:
        return planned.environment
    return planned.agent if planned.agent != planned.name else ""


def _cells(planned: PlannedStage, stage: Stage, width: int) -> Iterator[Cell]:
    named = len(planned.tasks) <= NAMED_CELLS
    a_row = (width - 20) // CELL
    for number, task in enumerate(planned.tasks):
        x, y = (14, 54 + number * ROW) if named else (14 + number % a_row * CELL, 54 + number // a_row * CELL)
        label = shortened(cell_name(task), int((width - 46) / SMALL)) if named else ""
        left_out = stage.status is StageStatus.FINISHED and not stage.tasks[task.id].attempts
        yield Cell(task.id, Light.SKIPPED if left_out else task_light(stage.tasks[task.id]), label, x, y)


def _badges(planned: PlannedStage, stage: Stage) -> Iterator[tuple[str, Light]]:
    if stage.carried:
        yield "taken over", Light.SKIPPED
    if planned.approval is not None:
        given, required = len(stage.approvals), planned.approval.required
        if stage.status is StageStatus.WAITING:
            yield f"approval {given}/{required}", Light.WAITING
        elif stage.approvals:
            yield f"approved {given}/{required}", Light.SUCCESS
        elif stage.outcome is None:
            yield "needs approval", Light.PENDING
        elif stage.outcome is Outcome.CANCELLED:
            yield "not approved", Light.CANCELLED
    if stage.awaits:
        yield f"waits for {shortened(stage.awaits, 12)}", Light.WAITING
    if stage.attempts > 1:
        yield f"{stage.attempts} tries", _tries_light(stage)
    if stage.rollback is not None:
        match stage.rollback.outcome:
            case None:
                yield "rolling back", Light.RUNNING
            case Outcome.SUCCESS:
                yield "rolled back", Light.ALLOWED
            case _:
                yield "rollback failed", Light.FAILURE


def _tries_light(stage: Stage) -> Light:
    match stage.outcome:
        case None:
            return Light.RETRYING
        case Outcome.SUCCESS:
            return Light.SUCCESS
        case _:
            return Light.FAILURE


def _kind(need: Stage) -> str:
    if need.status is not StageStatus.FINISHED:
        return "open"
    return "blocked" if need.blocks else "done"


def shortened(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(room - 1, 1)] + "…"
