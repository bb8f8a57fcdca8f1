from __future__ import annotations

import pytest

from turnout.core.errors import PermanentError
from turnout.core.images import read_images


def test_an_agent_has_the_image_that_is_named_for_it_and_the_patterns_otherwise() -> None:
    images = read_images(
        "registry.example.org:5000/turnout-{agent}:1.0, own=registry.example.org/own@sha256:ab"
    )
    assert images.of("lint") == "registry.example.org:5000/turnout-lint:1.0"
    assert images.of("own") == "registry.example.org/own@sha256:ab"


def test_an_agent_without_an_image_is_told_what_to_set() -> None:
    with pytest.raises(PermanentError, match="no image is known for the agent build") as caught:
        read_images("lint=turnout-lint:1").of("build")
    assert "build=IMAGE" in str(caught.value.hint)


@pytest.mark.parametrize(
    "given", ["turnout-lint:1", "lint=", "=x", "a-{agent},b-{agent}", "lint=--privileged", "{agent}{0}"]
)
def test_what_is_neither_a_pair_nor_a_pattern_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="expected agent=image"):
        read_images(given)
