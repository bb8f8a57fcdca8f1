from __future__ import annotations

from datetime import date

from turnout.console.pages.charts import BOTTOM, HEIGHT, LEFT, RIGHT, SECONDS, TOP, WIDTH, bars, lines
from turnout.console.pages.lights import duration

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 30)
POINTS = ((date(2026, 3, 1), 2.0), (date(2026, 3, 10), 7.0), (date(2026, 3, 30), 3.0))


def word(value: float) -> str:
    return f"{value:g}"


def test_a_chart_is_a_table_too() -> None:
    chart = lines("Lag", [("half", "running", POINTS), ("all", "error", POINTS[:1])], FIRST, LAST, word)
    assert chart.columns == ("half", "all")
    assert chart.rows == (
        (date(2026, 3, 1), ("2", "2")),
        (date(2026, 3, 10), ("7", "–")),
        (date(2026, 3, 30), ("3", "–")),
    )
    assert chart.said == "Lag: half 3, all 2 at last"


def test_every_point_is_within_the_axes() -> None:
    chart = lines("Lag", [("half", "running", POINTS)], FIRST, LAST, word)
    (line,) = chart.lines
    assert all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM for x, y, _ in line.dots)
    assert line.dots[1][1] < line.dots[2][1] < line.dots[0][1]  # y goes down
    assert line.dots[1][2] == "half, 10 Mar: 7"
    assert line.d.startswith("M")
    assert line.d.count("L") == 2


def test_the_axis_ends_at_a_round_number() -> None:
    counts = bars("Runs a day", "runs", POINTS, FIRST, LAST, word)
    assert [said for _, said in counts.levels] == ["0", "2", "4", "6", "8"]
    slow = ((date(2026, 3, 2), 200.0),)
    times = lines("Duration", [("half", "running", slow)], FIRST, LAST, duration, steps=SECONDS)
    assert [said for _, said in times.levels] == ["0.0 s", "1 m 00 s", "2 m 00 s", "3 m 00 s", "4 m 00 s"]


def test_bars_of_nothing_are_not_drawn() -> None:
    chart = bars("Runs a day", "runs", ((FIRST, 0.0), (LAST, 4.0)), FIRST, LAST, word)
    assert [bar.said for bar in chart.bars] == ["30 Mar: 4"]
    assert bars("Runs a day", "runs", ((FIRST, 0.0),), FIRST, LAST, word).empty


def test_a_chart_of_no_days_says_so() -> None:
    chart = lines("Coverage", [("lines", "success", ())], FIRST, LAST, word, most=100.0, least=50.0)
    assert chart.empty
    assert chart.lines == ()
