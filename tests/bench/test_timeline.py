from __future__ import annotations

from tests.bench.timeline import Burst, Timeline, read_stamp

MS = 1_000_000


def test_a_stamp_is_the_last_line_that_is_nothing_but_a_time() -> None:
    log = b"checked out in 3 ms\n| date +%s%N\n1795369866012885015\n1795369866012885016\nended\n"
    assert read_stamp(log) == 1795369866012885016


def test_a_log_without_a_stamp_has_none() -> None:
    assert read_stamp(b"| date +%s%N\nat 1795369866012885015 it failed\n17953698660128850\n") is None


def test_a_timeline_is_told_from_the_moment_of_the_request() -> None:
    line = Timeline(sent=0, answered=2 * MS, stamps=(10 * MS, 15 * MS, 30 * MS))
    assert (line.accept, line.start, line.steps, line.whole) == (2, 10, (5, 15), 30)


def test_a_burst_counts_until_the_last_command() -> None:
    assert Burst(pipelines=10, began=0, taken=1, ended=2_000 * MS).rate == 5
