"""The main scenario, from a push to the message, in the shape that Terraform plans."""

from __future__ import annotations

import json

import pytest

from tests.cloud.shop import FILES, Shop
from tests.waiting import wait_until
from turnout.core.model import Outcome

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def test_a_push_that_fails_and_one_that_mends_it_are_told_of(shop: Shop) -> None:
    failing = shop.push("Sell at half the price", cart__py="def total(prices):\n    return sum(prices) / 2\n")
    (run,) = shop.ended([failing])
    assert run.outcome is Outcome.FAILURE, run.reason
    assert {name: stage.outcome for name, stage in run.stages.items()} == {
        "lint": Outcome.SUCCESS,
        "unit": Outcome.FAILURE,
    }
    wait_until(lambda: "unit" in str(shop.messages()), 60, "Slack is told")
    mended = shop.push("Sell at the price", cart__py=FILES["cart.py"])
    (run,) = shop.ended([mended])
    assert run.outcome is Outcome.SUCCESS, run.reason
    wait_until(lambda: "recovered" in str(shop.messages()).lower(), 60, "Slack is told")
    assert len(shop.effects.read_text().split()) == 2
    assert json.loads(shop.cloud.turnout("audit", "--json"))["unaccounted"] == 0
    assert shop.refused() == []
