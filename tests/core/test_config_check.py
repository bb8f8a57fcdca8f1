from __future__ import annotations

import time

import pytest

from tests.core.writing import ANYONE, EVERY_WORD, pipeline, problems, project, the_problem


def staged(lines: str) -> str:
    return f"pipeline:\n  stages:\n{lines}"


def test_an_unknown_agent_is_named_with_the_nearest_one() -> None:
    found = the_problem("pipeline: {stages: [lint, tset]}")
    assert found.path == "pipeline.stages[1]"
    assert found.message == "unknown agent `tset`"
    assert found.hint == "did you mean `test`?"


def test_an_agent_unlike_any_other_is_answered_with_all_of_them() -> None:
    found = the_problem("pipeline: {stages: [{name: x, agent: quux}]}")
    assert found.path == "pipeline.stages[0].agent"
    assert "lint, test, build, security, deploy, script" in found.hint


def test_a_stage_that_names_no_agent_is_asked_for_one() -> None:
    found = the_problem("pipeline: {stages: [{name: unit}]}")
    assert "names no agent" in found.message
    assert "agent: test" in found.hint


def test_the_same_word_twice_must_be_given_a_name() -> None:
    found = the_problem("pipeline:\n  stages:\n    - test\n    - lint\n    - test\n")
    assert (found.line, found.path) == (5, "pipeline.stages[2]")
    assert "line 3" in found.message
    assert found.hint == "give this one a name: `{name: test-2, agent: test}`"


def test_a_name_twice_is_refused_also_within_a_group() -> None:
    found = the_problem("pipeline: {stages: [lint, [test, {name: lint, agent: test}]]}")
    assert found.path == "pipeline.stages[1][1].name"


def test_a_need_that_does_not_exist_is_answered_with_the_nearest_name() -> None:
    found = the_problem("pipeline: {stages: [{name: units, agent: test}, {agent: lint, needs: [unit]}]}")
    assert found.path == "pipeline.stages[1].needs[0]"
    assert found.hint == "did you mean `units`?"


def test_a_stage_cannot_need_itself() -> None:
    assert "itself" in the_problem("pipeline: {stages: [{agent: lint, needs: lint}]}").message


def test_a_cycle_is_named_once_with_all_its_stages() -> None:
    lines = (
        "    - {name: a, agent: lint, needs: [c]}\n"
        "    - {name: b, agent: lint, needs: [a]}\n"
        "    - {name: c, agent: lint, needs: [b]}\n"
    )
    found = the_problem(staged(lines))
    assert found.message == "these stages wait for each other: `a` needs `c` needs `b` needs `a`"
    assert (found.line, found.path) == (3, "pipeline.stages[0].needs")


def test_a_cycle_through_the_order_of_the_file_says_so() -> None:
    found = the_problem("pipeline: {stages: [{name: a, agent: lint, needs: [b]}, {name: b, agent: test}]}")
    assert "`a` needs `b` needs `a`" in found.message
    assert "`b` names no needs" in found.hint


def test_two_cycles_are_two_problems() -> None:
    one, two = (
        "{{name: {0}, agent: lint, needs: {1}}}, {{name: {1}, agent: lint, needs: {0}}}".format(*pair)
        for pair in ("ab", "cd")
    )
    assert len(problems(f"pipeline: {{stages: [{one}, {two}]}}")) == 2


def test_what_stands_behind_a_cycle_can_never_start() -> None:
    text = "pipeline: {stages: [{name: a, agent: lint, needs: b}, {name: b, agent: lint, needs: a}, test, build]}"
    found = problems(text)
    assert [each.path for each in found[1:]] == ["pipeline.stages[2]", "pipeline.stages[3]"]
    assert all("can never start" in each.message for each in found[1:])


def test_a_stage_whose_events_never_come_is_refused() -> None:
    text = "pipeline: {on: {push: {}}, stages: [{agent: lint, when: {event: [schedule, tag]}}]}"
    found = the_problem(text)
    assert found.path == "pipeline.stages[0].when.event"
    assert "push" in found.hint


def test_a_schedule_must_be_asked_for_before_a_stage_can_wait_for_it() -> None:
    assert (
        "can never run" in the_problem("pipeline: {stages: [{agent: lint, when: {event: schedule}}]}").message
    )


def test_a_matrix_has_at_most_200_cells() -> None:
    axes = {"a": list(range(21)), "b": list(range(10))}
    found = the_problem(f"pipeline: {{stages: [{{agent: test, matrix: {axes}}}]}}")
    assert found.path == "pipeline.stages[0].matrix"
    assert "210 cells" in found.message


def test_a_pipeline_has_at_most_1000_tasks() -> None:
    stage = "{{name: s{}, agent: test, matrix: {{a: {}}}}}"
    lines = ", ".join(stage.format(n, list(range(150))) for n in range(7))
    assert "1,050 tasks" in the_problem(f"pipeline: {{stages: [{lines}]}}").message


def test_a_pipeline_has_at_most_100_stages() -> None:
    lines = ", ".join(f"{{name: s{n}, agent: test}}" for n in range(101))
    assert "101 stages" in the_problem(f"pipeline: {{stages: [{lines}]}}").message


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("{agent: script, rollback: true}", "only a deploy stage"),
        ("deploy, {agent: script, rollback: deplo}", "no deploy stage is called `deplo`"),
        ("lint, {agent: script, rollback: lint}", "no deploy stage is called `lint`"),
        ("{agent: script, rollback: deploy}, deploy", "does not come before"),
        ("deploy, {agent: script, needs: [], rollback: deploy}", "does not come before"),
    ],
)
def test_a_rollback_names_a_deploy_stage_that_comes_before(lines: str, says: str) -> None:
    assert says in the_problem(f"pipeline: {{stages: [{lines}]}}").message


def test_a_rollback_may_name_a_deploy_stage_far_above() -> None:
    pipeline("pipeline: {stages: [deploy, test, {agent: script, rollback: deploy}]}")


def test_a_secret_that_the_project_does_not_bind_is_refused() -> None:
    known = project("secrets: {NPM_TOKEN: {env: X}}")
    text = "pipeline: {stages: [{agent: test, secrets: [NPM_TOKN, OTHER]}]}"
    first, second = problems(text, project=known)
    assert (first.path, first.hint) == ("pipeline.stages[0].secrets[0]", "did you mean `NPM_TOKEN`?")
    assert "OTHER: {env: OTHER}" in second.hint


def test_a_secret_may_be_bound_by_the_stages_environment_alone() -> None:
    known = project("environments: {staging: {secrets: {KEY: {env: X}}}, production: }")
    text = "pipeline: {deploy_environment: staging, stages: [{agent: deploy, secrets: KEY}]}"
    pipeline(text, project=known)
    found = the_problem(text.replace("staging", "production"), project=known)
    assert "for environment production" in found.message


def test_an_environment_that_the_project_does_not_have_is_refused() -> None:
    known = project("environments: {staging: , production: }")
    text = "pipeline: {deploy_environment: stagign, stages: [deploy, {agent: test, environment: prod}]}"
    first, second = problems(text, project=known)
    assert (first.path, first.hint) == ("pipeline.deploy_environment", "did you mean `staging`?")
    assert second.path == "pipeline.stages[1].environment"


def test_without_a_known_project_secrets_and_environments_are_not_checked() -> None:
    pipeline(EVERY_WORD)
    pipeline(EVERY_WORD, project=ANYONE)


def test_a_stage_with_a_wrong_field_still_counts_for_the_others() -> None:
    text = "pipeline: {stages: [{name: a, agent: lint, timeout: soon}, {name: b, agent: test, needs: [a]}]}"
    assert the_problem(text).path == "pipeline.stages[0].timeout"


def test_many_cycles_and_names_do_not_take_long() -> None:
    pairs = ", ".join(
        f"{{name: a{n}, agent: x, needs: [b{n}, zz]}}, {{name: b{n}, agent: x, needs: a{n}}}"
        for n in range(2500)
    )
    names = ", ".join(f"n{n}" for n in range(15_000))
    before = time.process_time()
    problems(f"pipeline: {{stages: [{pairs}]}}")
    problems(f"pipeline: {{stages: [{{agent: lint, needs: [{names}], {names.replace(',', ': 1,')}: 1}}]}}")
    assert time.process_time() - before < 10
