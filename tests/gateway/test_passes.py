from __future__ import annotations

import pytest

from tests.gateway.house import JOB, House
from tests.test_orchestration import KEY
from turnout import gateway as g
from turnout.core import messages as m
from turnout.core.errors import PermanentError
from turnout.core.model import Outcome
from turnout.core.policy import pass_expiry
from turnout.gateway import NotWanted, Passes


def test_a_pass_opens_its_attempt_until_it_expires(house: House) -> None:
    token = house.token(lifetime=60)
    assert house.gateway.enter(house.attempt, token, JOB).attempt.id == house.attempt
    house.world.clock.forward(60)
    with pytest.raises(g.NoPass, match="expired"):
        house.gateway.enter(house.attempt, token, JOB)


def test_without_a_pass_with_a_forged_one_or_with_anothers_nobody_enters(house: House) -> None:
    with pytest.raises(g.NoPass):
        house.gateway.enter(house.attempt, "", JOB)
    task = house.world.producer.messages(m.TaskRequested)[0]
    later = house.token().split(".")
    later[1] = str(int(later[1]) + 9999)
    for wrong in ("v1.1.2", "\x00é", task.token, house.token("another-attempt"), ".".join(later)):
        with pytest.raises(g.WrongPass):
            house.gateway.enter(house.attempt, wrong, JOB)


def test_a_job_is_launched_with_a_pass_that_outlives_every_limit_and_with_nothing_else(house: House) -> None:
    (task,) = house.world.producer.messages(m.TaskRequested)
    passes = Passes("http://door", KEY, house.world.clock)
    given = passes.environment(task)
    assert set(given) == {"TURNOUT_GATEWAY_URL", "TURNOUT_ATTEMPT", "TURNOUT_ATTEMPT_TOKEN"}
    house.world.clock.forward(passes.timing.launch + task.timeout + passes.timing.cancel_grace)
    house.gateway.enter(task.attempt, given["TURNOUT_ATTEMPT_TOKEN"], JOB)
    assert task.token not in given.values()
    expires = pass_expiry(passes.timing, task.timeout, house.world.clock.now())
    house.world.clock.at = expires
    with pytest.raises(g.NoPass):
        house.gateway.enter(task.attempt, given["TURNOUT_ATTEMPT_TOKEN"], JOB)


def test_the_pass_of_an_attempt_that_has_ended_is_worth_nothing(house: House) -> None:
    house.start()
    first, token = house.attempt, house.token()
    house.finish(Outcome.FAILURE)
    assert house.attempt != first, "the pipeline tries again"
    with pytest.raises(NotWanted, match="ended: failure"):
        house.gateway.enter(first, token, JOB)
    assert house.visit().state == "waiting"


def test_an_attempt_that_nobody_launched_is_unknown(house: House) -> None:
    with pytest.raises(PermanentError, match="no attempt nobody"):
        house.visit(attempt="nobody")


def test_a_session_that_could_be_guessed_is_refused(house: House) -> None:
    with pytest.raises(PermanentError, match="Turnout-Session"):
        house.visit("short")
