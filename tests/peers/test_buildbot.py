"""The harness around Buildbot: what the comparisons rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.buildbot import Buildbot, push_payload
from tests.peers.place import INSTALL, available
from tests.real import require
from tests.waiting import wait_until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def buildbot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildbot]:
    require("Buildbot", available(), INSTALL)
    with Buildbot(["echo $REVISION", "echo two"], folder=tmp_path_factory.mktemp("buildbot")) as made:
        yield made


def test_a_signed_push_is_built_step_by_step_and_its_output_is_kept(buildbot: Buildbot) -> None:
    before = buildbot.ended()
    assert buildbot.post("d1", push_payload("1" * 40)) == 200
    wait_until(lambda: buildbot.ended() > before, 60, "the build ends")
    built = buildbot.builds()[-1]
    assert (built.revision, built.result, built.steps) == ("1" * 40, "success", ("s1", "s2"))
    assert buildbot.output(built.id) == {"s1": b"1" * 40 + b"\n", "s2": b"two\n"}


def test_a_push_signed_with_another_secret_is_refused(
    buildbot: Buildbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildbot, "secret", "another")
    assert buildbot.post("d2", push_payload("2" * 40)) == 400


def test_after_a_kill_of_master_and_worker_a_start_goes_on_with_the_same_data(buildbot: Buildbot) -> None:
    known = {each.id for each in buildbot.builds()}
    buildbot.kill_master()
    buildbot.kill_worker()
    assert buildbot.pids == []
    buildbot.start()
    assert known <= {each.id for each in buildbot.builds()}
    assert buildbot.post("d3", push_payload("3" * 40)) == 200
    wait_until(
        lambda: any(each.revision == "3" * 40 and each.result == "success" for each in buildbot.builds()),
        60,
        "a push after the kill is built",
    )
