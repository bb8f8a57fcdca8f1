"""Boxes in layers from left to right, each as far left as its needs allow, and the edges between them. Pure.

Needs that follow from others are left out; an edge over several layers gets a point in each, so that it goes around
boxes; points and boxes of a layer are ordered by where their neighbours stand (Sugiyama's barycentres). Lengths are in
CSS pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

GAP_Y, MARGIN = 18, 10
PORT = 29
"""Where edges come and go, below the upper edge of a box: beside its name."""
TIP = 6
SWEEPS = 6
WIDTHS = ((5, 196, 52), (6, 172, 40), (7, 152, 32))
"""Layers, the width of a box, the gap beside it: as wide as fits on a page."""
NARROWEST = (144, 26)

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Bend:
    """Where the edge of a need to a name goes through a layer."""

    need: str
    name: str
    layer: int


Node = str | Bend


@dataclass(frozen=True, slots=True)
class Layout:
    """``places``: the upper left corner of each box; ``bends``: where long edges go through a layer."""

    width: int
    places: Mapping[str, Point]
    heights: Mapping[str, int]
    bends: Mapping[Bend, Point]

    @property
    def right(self) -> int:
        return max(x for x, _ in self.places.values()) + self.width + MARGIN

    @property
    def bottom(self) -> int:
        return max(y + self.heights[name] for name, (_, y) in self.places.items()) + MARGIN

    def edge(self, need: str, name: str) -> str:
        """The SVG path from a box to the one that needs it."""
        x, y = self.places[need][0] + self.width, self.places[need][1] + PORT
        parts = [f"M{x} {y}"]
        for bend, (to_x, to_y) in self.bends.items():
            if (bend.need, bend.name) == (need, name):
                parts += [_curve(x, y, to_x, to_y), f"L{to_x + self.width} {to_y}"]
                x, y = to_x + self.width, to_y
        end_x, end_y = self.places[name][0], self.places[name][1] + PORT
        parts.append(_curve(x, y, end_x - TIP, end_y))
        return " ".join(parts)

    def back(self, source: str, target: str, below: int) -> str:
        """From the foot of a box, ``below`` everything, to the foot of one before it."""
        middle = self.width // 2
        x, y = self.places[source][0] + middle, self.places[source][1] + self.heights[source]
        to_x, to_y = self.places[target][0] + middle, self.places[target][1] + self.heights[target] + TIP
        down = f"M{x} {y} C{x} {below} {x} {below} {x - 24} {below}"
        return f"{down} L{to_x + 24} {below} C{to_x} {below} {to_x} {below} {to_x} {to_y}"


def reduced(needs: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The needs of each, but for those that other needs have already. Each name stands after all it needs."""
    before: dict[str, set[str]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for name, wanted in needs.items():
        all_ = tuple(wanted)
        implied = set[str]().union(*(before[need] for need in all_))
        found[name] = tuple(need for need in all_ if need not in implied)
        before[name] = implied | set(all_)
    return found


def width_of(needs: Mapping[str, Sequence[str]]) -> tuple[int, int]:
    """How wide a box may be, and the gap beside it."""
    count = 1 + max(_layers(needs).values(), default=0)
    return next(((width, gap) for most, width, gap in WIDTHS if count <= most), NARROWEST)


def laid_out(needs: Mapping[str, Sequence[str]], heights: Mapping[str, int]) -> Layout:
    """``needs``: reduced, each name after all it needs."""
    layer = _layers(needs)
    columns: list[list[Node]] = [[] for _ in range(max(layer.values()) + 1)]
    links: dict[Node, list[Node]] = {}
    for name in needs:
        columns[layer[name]].append(name)
    for name, wanted in needs.items():
        for need in wanted:
            last: Node = need
            for between in range(layer[need] + 1, layer[name]):
                bend = Bend(need, name, between)
                columns[between].append(bend)
                _link(links, last, bend)
                last = bend
            _link(links, last, name)
    _order(columns, links)
    width, gap = width_of(needs)
    sizes = [[heights[each] if isinstance(each, str) else 4 for each in column] for column in columns]
    totals = [sum(column) + GAP_Y * (len(column) - 1) for column in sizes]
    places: dict[str, Point] = {}
    bends: dict[Bend, Point] = {}
    for number, (column, size) in enumerate(zip(columns, sizes, strict=True)):
        x, y = MARGIN + number * (width + gap), MARGIN + (max(totals) - totals[number]) // 2
        for each, high in zip(column, size, strict=True):
            if isinstance(each, str):
                places[each] = (x, y)
            else:
                bends[each] = (x, y + high // 2)
            y += high + GAP_Y
    return Layout(width, places, heights, bends)


def _layers(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    layer: dict[str, int] = {}
    for name, wanted in needs.items():
        layer[name] = 1 + max((layer[need] for need in wanted), default=-1)
    return layer


def _link(links: dict[Node, list[Node]], one: Node, other: Node) -> None:
    links.setdefault(one, []).append(other)
    links.setdefault(other, []).append(one)


def _order(columns: list[list[Node]], links: Mapping[Node, list[Node]]) -> None:
    """There and back again, each column by its neighbours in the one before."""
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for number in range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1):
            beside = columns[number - 1 if forth else number + 1]
            place = {each: at / max(1, len(beside) - 1) for at, each in enumerate(beside)}
            centres = {each: _centre(links.get(each, ()), place) for each in columns[number]}
            columns[number].sort(key=centres.__getitem__)  # stable: ties stay as they are


def _centre(near: Iterable[Node], place: Mapping[Node, float]) -> float:
    found = [place[each] for each in near if each in place]
    return sum(found) / len(found) if found else 0.5


def _curve(x: int, y: int, to_x: int, to_y: int) -> str:
    middle = (x + to_x) // 2
    return f"C{middle} {y} {middle} {to_y} {to_x} {to_y}"
