from __future__ import annotations

import pytest

from tests.bench.figures import Spread


def test_the_spread_of_a_hundred_values_is_where_their_shares_are() -> None:
    found = Spread.of(float(number) for number in range(101))
    assert (found.p50, found.p5, found.p95, found.samples) == (50, 5, 95, 101)


def test_the_median_of_two_values_lies_between_them() -> None:
    assert Spread.of([1, 2]).p50 == 1.5


def test_nothing_measured_is_an_error_and_no_zero() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])
