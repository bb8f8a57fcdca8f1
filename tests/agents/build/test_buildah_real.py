"""buildah itself: builds, pushes to a real registry, and what comes of all that can go wrong."""

from __future__ import annotations

import pytest

from agents.build.manifests import digest_of
from agents.build.naming import read_name
from agents.build.registry_access import Access
from tests.agents.build.conftest import Yard
from turnout.core.model import Outcome

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def app(yard: Yard, steps: str = "") -> dict[str, str]:
    return {
        "Dockerfile": f'FROM {yard.base}\nCOPY hello.sh /hello.sh\n{steps}CMD ["/bin/sh", "/hello.sh"]\n',
        "hello.sh": "echo hello from the image\n",
    }


def test_an_image_is_built_and_pushed_and_the_registry_has_what_was_pushed(yard: Yard) -> None:
    asked, workspace = yard.workspace("app", app(yard, "RUN echo built > /built\n"))
    from agents.build.agent import run

    result = run(asked, workspace)
    print(workspace.text, result)
    assert result.outcome is Outcome.SUCCESS
    name = read_name(f"{yard.registry.address}/app")
    assert result.outputs["tags"] == f"{asked.checkout.sha[:12]},main"
    assert result.outputs["image"] == f"{name}:{asked.checkout.sha[:12]}"
    for tag in result.outputs["tags"].split(","):
        assert digest_of(name, tag, Access()) == result.outputs["digest"]
