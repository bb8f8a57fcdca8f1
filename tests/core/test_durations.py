from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core.durations import (
    format_duration,
    format_size,
    parse_cpu,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("500ms", 0.5), ("1.5h", 5400), ("0s", 0)],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "15", "15 m", "m", "-1s", "1w", "1e3s", "10s\n", "31d", "1s" * 100])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@given(st.integers(0, 30 * 24 * 3600 * 1000).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_is_read_back_as_it_was_written(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512Mi", 512 * 2**20), ("2Gi", 2**31), ("1.5k", 1500), ("500M", 500_000_000), ("7", 7)],
)
def test_sizes_are_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2GB", "2 Gi", "-1", "2gi", "9999999Ti", "1Mi\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@given(st.integers(0, 2**50))
def test_a_size_is_read_back_as_it_was_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_thousandths_of_a_core_are_read() -> None:
    assert parse_cpu("500m") == 0.5
    with pytest.raises(ValueError, match="expected cores"):
        parse_cpu("half")
