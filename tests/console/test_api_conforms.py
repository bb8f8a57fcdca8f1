"""The REST API against its own description: requests well-formed and not, each answer as described, and no 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from tests.console.seeded import seeded
from turnout.console.app import create_app

EXAMPLES = 12
"""Requests of each operation, good ones and bad ones each."""


NOT_MEANT = [
    ignored_auth,  # ten wrong tokens from one address are listened to no more
    positive_data_acceptance,  # what a description can't say: a pipeline file that is none, a cursor that was made up
    negative_data_rejection,  # parameters that nobody knows are passed over
]


@dataclass(frozen=True)
class Api:
    operations: tuple[APIOperation[Any, Any, Any, Any], ...]
    headers: dict[str, str]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    wiring = seeded(tmp_path_factory.mktemp("seeded"))
    bearer = {"Authorization": f"Bearer {wiring.settings.console_token()}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", create_app(wiring), headers=bearer)
    yield Api(tuple(each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)), bearer)
    wiring.store.close()


def asked(
    operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, headers: dict[str, str], examples: int
) -> None:
    """Raises: what the first answer that is not as described is about, made small."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Case[Any]) -> None:
        case.call_and_validate(headers=headers, excluded_checks=NOT_MEANT)

    one()


@pytest.mark.real
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_as_described(api: Api, mode: GenerationMode) -> None:
    wrong: list[str] = []
    assert len(api.operations) > 25
    for operation in api.operations:
        try:
            asked(operation, mode, api.headers, EXAMPLES)
        except Unsatisfiable:
            continue  # nothing about it can be wrong
        except (Exception, FailureGroup) as error:
            wrong.append(f"{operation.label}: {error}")
    assert wrong == [], "\n\n".join(wrong)
