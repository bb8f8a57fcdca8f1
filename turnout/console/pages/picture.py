"""A run's stages as a picture: in layers from left to right, each as far left as its needs allow. Pure: the template
only writes down what stands here. All lengths are in CSS pixels.

The way: needs that follow from others are left out; an edge over several layers gets a point in each, so that it goes
around boxes; points and boxes of a layer are ordered by where their neighbours stand (Sugiyama's barycentres).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from turnout.console.pages.lights import LIGHT_WORDS, cell_name, span_words, stage_lights, task_light
from turnout.core.model import Outcome
from turnout.core.plan import Plan, PlannedStage
from turnout.core.run import Run, Stage, StageStatus
from turnout.reporting.view import Light

WIDTH, HEIGHT = 196, 58
GAP_X, GAP_Y, MARGIN = 52, 18, 10
ROW, CELL, PER_ROW = 19, 18, 9
NAMED_CELLS = 6
"""A matrix with more cells is drawn as a grid of marks."""
SWEEPS = 6
ROOM = 21
"""Characters of a name that fit."""


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
    height: int
    cells: tuple[Cell, ...]
    badges: tuple[tuple[str, Light], ...]
    said: str
    critical: bool
    width: int = WIDTH


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


def picture(run: Run, critical: Iterable[str] = ()) -> Picture | None:
    """None where there is no plan. ``critical``: stages to be marked as the critical path."""
    if run.plan is None or not run.plan.stages:
        return None
    lights = stage_lights(run)
    marked = set(critical)
    shapes = {
        each.name: _Shape.of(run, each, run.stages[each.name], lights[each.name]) for each in run.plan.stages
    }
    needs = reduced(run.plan)
    heights = {name: shape.height for name, shape in shapes.items()}
    places, bends = laid_out(needs, heights)
    boxes = tuple(
        Box(
            stage=name,
            label=shortened(name, ROOM),
            line=shape.line,
            light=lights[name],
            x=places[name][0],
            y=places[name][1],
            height=shape.height,
            cells=shape.cells,
            badges=shape.badges,
            said=shape.said,
            critical=name in marked,
        )
        for name, shape in shapes.items()
    )
    edges = [
        Edge(_path(places, heights, bends, need, name), _kind(run.stages[need]), need, name)
        for name, wanted in needs.items()
        for need in wanted
    ]
    bottom = max(box.y + box.height for box in boxes) + MARGIN
    undone = [
        (stage.rollback.because, stage.name)
        for stage in run.stages.values()
        if stage.rollback is not None and stage.rollback.because != stage.name
    ]
    for number, (because, name) in enumerate(undone, start=1):
        edges.append(_back(places, heights, because, name, bottom + 12 * number))
    return Picture(
        width=max(box.x for box in boxes) + WIDTH + MARGIN,
        height=bottom + (12 * len(undone) + MARGIN if undone else 0),
        boxes=boxes,
        edges=tuple(edges),
    )


@dataclass(frozen=True, slots=True)
class _Shape:
    height: int
    line: str
    cells: tuple[Cell, ...]
    badges: tuple[tuple[str, Light], ...]
    said: str

    @classmethod
    def of(cls, run: Run, planned: PlannedStage, stage: Stage, light: Light) -> _Shape:
        cells = tuple(_cells(planned, stage)) if len(stage.tasks) > 1 else ()
        top = HEIGHT
        if cells:
            top = max(cell.y for cell in cells) + (ROW if cells[0].label else CELL) + 8
        badges = tuple(_badges(planned, stage))
        height = top + (22 if badges else 0)
        took = span_words(stage.started_at, stage.finished_at)
        line = " · ".join(part for part in (planned.agent, planned.environment, took) if part)
        said = ", ".join(
            part
            for part in (
                f"{planned.name}: {LIGHT_WORDS[light]}",
                f"{planned.agent} agent",
                f"after {', '.join(planned.needs)}" if planned.needs else "",
                f"{sum(task.outcome is Outcome.SUCCESS for task in stage.tasks.values())} of {len(cells)} cells passed"
                if cells
                else "",
                f"took {took}" if took else "",
                *(word for word, _ in badges),
            )
            if part
        )
        return cls(height, shortened(line, 28), cells, badges, said)


def _cells(planned: PlannedStage, stage: Stage) -> Iterable[Cell]:
    named = len(planned.tasks) <= NAMED_CELLS
    for number, task in enumerate(planned.tasks):
        x, y = (14, 54 + number * ROW) if named else (12 + number % PER_ROW * 20, 54 + number // PER_ROW * 20)
        label = shortened(cell_name(task), 24) if named else ""
        yield Cell(task.id, task_light(stage.tasks[task.id]), label, x, y)


def _badges(planned: PlannedStage, stage: Stage) -> Iterable[tuple[str, Light]]:
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
        light = (
            Light.SUCCESS
            if stage.outcome is Outcome.SUCCESS
            else (Light.RETRYING if stage.outcome is None else Light.FAILURE)
        )
        yield f"{stage.attempts} tries", light
    if stage.rollback is not None:
        match stage.rollback.outcome:
            case None:
                yield "rolling back", Light.RUNNING
            case Outcome.SUCCESS:
                yield "rolled back", Light.ALLOWED
            case _:
                yield "rollback failed", Light.FAILURE


def reduced(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The needs of each stage, but for those that other needs have already."""
    before: dict[str, set[str]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for stage in plan.stages:  # a stage stands after all it needs
        implied = set[str]().union(*(before[need] for need in stage.needs))
        found[stage.name] = tuple(need for need in stage.needs if need not in implied)
        before[stage.name] = implied | set(stage.needs)
    return found


Point = tuple[int, int]
_Bend = tuple[str, str, int]
"""Where the edge of a need to a stage goes through a layer."""


def laid_out(
    needs: Mapping[str, Sequence[str]], heights: Mapping[str, int]
) -> tuple[dict[str, Point], dict[_Bend, Point]]:
    """The upper left corner of each box, and the points that long edges go through."""
    layer: dict[str, int] = {}
    for name, wanted in needs.items():
        layer[name] = 1 + max((layer[need] for need in wanted), default=-1)
    layers: list[list[str | _Bend]] = [[] for _ in range(max(layer.values()) + 1)]
    links: dict[str | _Bend, list[str | _Bend]] = {}
    for name in needs:
        layers[layer[name]].append(name)
    for name, wanted in needs.items():
        for need in wanted:
            last: str | _Bend = need
            for between in range(layer[need] + 1, layer[name]):
                bend = (need, name, between)
                layers[between].append(bend)
                _link(links, last, bend)
                last = bend
            _link(links, last, name)
    _order(layers, links)
    sizes = [[heights[each] if isinstance(each, str) else 4 for each in column] for column in layers]
    totals = [sum(column) + GAP_Y * (len(column) - 1) for column in sizes]
    places: dict[str, Point] = {}
    bends: dict[_Bend, Point] = {}
    for number, (column, size) in enumerate(zip(layers, sizes, strict=True)):
        x, y = MARGIN + number * (WIDTH + GAP_X), MARGIN + (max(totals) - totals[number]) // 2
        for each, high in zip(column, size, strict=True):
            if isinstance(each, str):
                places[each] = (x, y)
            else:
                bends[each] = (x, y + high // 2)
            y += high + GAP_Y
    return places, bends


def _link(links: dict[str | _Bend, list[str | _Bend]], one: str | _Bend, other: str | _Bend) -> None:
    links.setdefault(one, []).append(other)
    links.setdefault(other, []).append(one)


def _order(layers: list[list[str | _Bend]], links: Mapping[str | _Bend, list[str | _Bend]]) -> None:
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        order = range(1, len(layers)) if forward else range(len(layers) - 2, -1, -1)
        for number in order:
            beside = layers[number - 1 if forward else number + 1]
            place = {each: at / max(1, len(beside) - 1) for at, each in enumerate(beside)}
            own = {each: at for at, each in enumerate(layers[number])}

            def centre(
                each: str | _Bend,
                place: Mapping[str | _Bend, float] = place,
                own: Mapping[str | _Bend, int] = own,
            ) -> tuple[float, int]:
                near = [place[other] for other in links.get(each, ()) if other in place]
                return (sum(near) / len(near) if near else 0.5, own[each])

            layers[number].sort(key=centre)


def _path(
    places: Mapping[str, Point],
    heights: Mapping[str, int],
    bends: Mapping[_Bend, Point],
    need: str,
    name: str,
) -> str:
    x, y = places[need][0] + WIDTH, places[need][1] + _port(heights[need])
    parts = [f"M{x} {y}"]
    for bend, (to_x, to_y) in bends.items():
        if bend[:2] == (need, name):
            parts += [_curve(x, y, to_x, to_y), f"L{to_x + WIDTH} {to_y}"]
            x, y = to_x + WIDTH, to_y
    end_x, end_y = places[name][0], places[name][1] + _port(heights[name])
    parts.append(_curve(x, y, end_x - 6, end_y))
    return " ".join(parts)


def _port(_height: int) -> int:
    """Edges come and go beside the name."""
    return 29


def _curve(x: int, y: int, to_x: int, to_y: int) -> str:
    middle = (x + to_x) // 2
    return f"C{middle} {y} {middle} {to_y} {to_x} {to_y}"


def _back(
    places: Mapping[str, Point], heights: Mapping[str, int], because: str, name: str, below: int
) -> Edge:
    """From the foot of the stage that failed, under everything, to the foot of the one that is rolled back."""
    x, y = places[because][0] + WIDTH // 2, places[because][1] + heights[because]
    to_x, to_y = places[name][0] + WIDTH // 2, places[name][1] + heights[name] + 6
    d = f"M{x} {y} C{x} {below} {x} {below} {x - 24} {below} L{to_x + 24} {below} C{to_x} {below} {to_x} {below} {to_x} {to_y}"
    return Edge(d, "rollback", because, name)


def _kind(need: Stage) -> str:
    if need.status is not StageStatus.FINISHED:
        return "open"
    return "blocked" if need.blocks else "done"


def shortened(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"
