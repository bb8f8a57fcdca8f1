from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from turnout import wiring as composition
from turnout.cli.letters import letters
from turnout.core.dead_letters import dead_letter
from turnout.core.envelope import Received, Record
from turnout.wiring import prepare, wiring


@pytest.fixture(autouse=True)
def own_wiring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's wiring is made anew, for this test's home."""
    monkeypatch.setattr(composition, "_made", None)


def bury(reason: str) -> None:
    lost = Received(Record("pipeline.events", "acme/shop", b"{}", (("ce_id", b"1"),)), 0, 7, 0.0)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    wiring().producer.publish(
        [dead_letter(lost, group="functions", reason=reason, status=422, tries=1, at=at)]
    )


def told(capsys: pytest.CaptureFixture[str], *, retry: bool = False, discard: bool = False) -> dict[str, Any]:
    letters(retry=retry, discard=discard, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_dead_letter_is_listed_with_its_reason_and_put_back_once_or_given_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(wiring().settings)
    wiring().bus.ensure_topics()
    assert told(capsys) == {"letters": [], "retried": 0, "discarded": 0}
    bury("no run r1")
    (letter,) = told(capsys)["letters"]
    assert (letter["topic"], letter["key"], letter["reason"]) == ("pipeline.events", "acme/shop", "no run r1")
    assert told(capsys, retry=True)["retried"] == 1
    assert told(capsys) == {"letters": [], "retried": 0, "discarded": 0}
    bury("never again")
    assert told(capsys, discard=True)["discarded"] == 1
    assert told(capsys) == {"letters": [], "retried": 0, "discarded": 0}
