from __future__ import annotations

import pytest

from tests.core.writing import fork, pipeline, planned, project, the_problem
from turnout.core.config import PipelineConfig
from turnout.core.plan import CheckoutOptions


def asking(text: str) -> PipelineConfig:
    return pipeline(f"pipeline: {{stages: [lint], checkout: {text}}}")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("{}", CheckoutOptions()),
        ("{submodules: true}", CheckoutOptions(submodules="direct")),
        ("{submodules: recursive, lfs: true}", CheckoutOptions(submodules="recursive", lfs=True)),
        ("{submodules: false, history: true}", CheckoutOptions(history=True)),
    ],
)
def test_what_the_file_asks_of_the_checkout_is_in_the_plan(text: str, options: CheckoutOptions) -> None:
    assert planned(asking(text)).checkout == options


def test_the_digest_is_another_when_another_checkout_is_asked_for() -> None:
    texts = ("{}", "{submodules: true}", "{submodules: recursive}", "{lfs: true}", "{history: true}")
    assert len({planned(asking(text)).digest for text in texts}) == len(texts)


def test_a_forks_submodules_come_from_elsewhere_only_where_its_code_may_reach_others_too() -> None:
    config = asking("{submodules: true}")
    assert not planned(config, fork()).checkout.elsewhere
    assert planned(config, fork(), project("forks: {network: true}")).checkout.elsewhere


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("{submodule: true}", "pipeline.checkout.submodule", "unknown key `submodule`"),
        ("{submodules: deep}", "pipeline.checkout.submodules", "expected true, false or `recursive`"),
        ("{lfs: 1}", "pipeline.checkout.lfs", "expected true or false"),
        ("[lfs]", "pipeline.checkout", "expected"),
    ],
)
def test_a_mistake_is_said_with_its_place(text: str, path: str, message: str) -> None:
    found = the_problem(f"pipeline: {{stages: [lint], checkout: {text}}}")
    assert found.path == path
    assert message in found.message
    assert found.line == 1
    assert found.column > 1
