from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.house import House, announced
from turnout import gateway as g
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import PermanentError
from turnout.core.model import Outcome
from turnout.core.result import Artifact, Result
from turnout.gateway import Answer, Chunk


def test_a_piece_of_the_log_that_comes_twice_or_overlaps_is_kept_once(house: House) -> None:
    visit = house.start()
    assert house.gateway.log(visit, Chunk(sequence=0, offset=0, text="äbc")) == {"have": 4}
    assert house.gateway.log(visit, Chunk(sequence=0, offset=0, text="äbc")) == {"have": 4}
    assert house.gateway.log(visit, Chunk(sequence=1, offset=3, text="cde")) == {"have": 6}
    with pytest.raises(g.Gap) as gap:
        house.gateway.log(visit, Chunk(sequence=2, offset=60, text="z"))
    assert gap.value.have == 6
    assert house.log() == "äbcde"


def test_a_log_is_bounded_in_its_pieces_its_whole_and_its_speed(tmp_path: Path) -> None:
    house = House(tmp_path, log=100_000, log_rate=10_000)
    visit = house.start()
    with pytest.raises(g.TooLarge, match="a piece"):
        house.gateway.log(visit, Chunk(sequence=0, offset=0, text="x" * (g.MAX_CHUNK + 1)))
    house.gateway.log(visit, Chunk(sequence=0, offset=0, text="x" * 40_000))
    with pytest.raises(g.TooMuch) as busy:
        house.gateway.log(visit, Chunk(sequence=1, offset=40_000, text="x" * 40_000))
    assert busy.value.retry_after == pytest.approx(4)
    house.world.clock.forward(4)
    house.gateway.log(visit, Chunk(sequence=1, offset=40_000, text="x" * 40_000))
    with pytest.raises(g.TooLarge, match="longer than 100000"):
        house.gateway.log(visit, Chunk(sequence=2, offset=80_000, text="x" * 20_001))
    assert len(house.log()) == 80_000


def test_a_log_is_kept_although_nobody_can_watch_it_live(house: House) -> None:
    visit = house.start()
    house.world.producer.away = True
    house.gateway.log(visit, Chunk(sequence=0, offset=0, text="kept"))
    assert house.log() == "kept"


def test_an_artifact_is_kept_where_the_attempts_artifacts_are(house: House) -> None:
    visit = house.start()
    content = b"<xml/>" * 1000
    key = attempt_key(visit.run.id, "test", 1, "reports/unit.xml")
    file = announced(content, "reports/unit.xml", media_type="application/xml")
    assert house.gateway.announce(visit, file) == {"key": key, "url": None}
    for _ in range(2):
        kept = house.gateway.upload(visit, file, [content[:10], content[10:]])
    assert kept == {"key": key, "size": len(content), "sha256": file.sha256}
    assert house.artifacts.get(key) == content


@pytest.mark.parametrize("came", [b"", b"12345678", b"1234567890", b"123456789012"])
def test_an_artifact_that_is_not_what_was_announced_is_not_kept(house: House, came: bytes) -> None:
    visit = house.start()
    file = announced(b"0987654321")
    with pytest.raises(PermanentError, match="not what was announced"):
        house.gateway.upload(visit, file, [came])
    assert list(house.artifacts.list("runs/")) == []


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a//b", "a/./b", "..", "log.txt", "a\nb", ".incoming/x", "x" * 256, "a/" + "ü" * 200],
)
def test_no_name_of_an_artifact_leads_elsewhere_or_over_the_log(house: House, name: str) -> None:
    with pytest.raises(PermanentError, match="no name for an artifact"):
        house.gateway.announce(house.start(), announced(b"x", name))


def test_artifacts_are_bounded_each_and_together_and_in_number(tmp_path: Path) -> None:
    house = House(tmp_path, artifact=100, artifacts=250, artifact_count=3)
    visit = house.start()
    with pytest.raises(g.TooLarge, match="at most 100"):
        house.gateway.upload(visit, announced(b"x" * 101), [b"x" * 101])
    for name in ("a", "b"):
        house.gateway.upload(visit, announced(b"x" * 100, name), [b"x" * 100])
    with pytest.raises(g.TooLarge, match="more than 250"):
        house.gateway.announce(visit, announced(b"x" * 51, "c"))
    house.gateway.upload(visit, announced(b"y" * 100, "b"), [b"y" * 100])  # once more, in its place
    house.gateway.upload(visit, announced(b"x", "c"), [b"x"])
    with pytest.raises(g.TooLarge, match="3 artifacts"):
        house.gateway.announce(visit, announced(b"x", "d"))


def test_a_result_that_names_anothers_artifact_is_refused(house: House) -> None:
    visit = house.start()
    own = attempt_key(visit.run.id, "test", 1, "")
    for key in ("runs/another/test/1/secret", f"{own}../2/x", f"{own}", "runs"):
        named = Artifact(name="x", key=key, size=1, sha256="0" * 64)
        with pytest.raises(PermanentError, match="not of this attempt"):
            house.gateway.finished(visit, Answer(result=Result(outcome=Outcome.SUCCESS, artifacts=(named,))))
