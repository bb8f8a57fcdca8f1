"""Which image an agent's launched jobs run in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.core.errors import PermanentError

SETTING = "TURNOUT_AGENT_IMAGES"
_REFERENCE = re.compile(r"[a-z0-9][\w.:/@-]*")


@dataclass(frozen=True, slots=True)
class Images:
    """``named``: agent to image; they win. ``pattern``: for every other agent, ``{agent}`` is its name; empty: there is
    none.
    """

    pattern: str = ""
    named: Mapping[str, str] = field(default_factory=dict)

    def of(self, agent: str) -> str:
        """Raises: PermanentError where none is known."""
        image = self.named.get(agent) or self.pattern.replace("{agent}", agent)
        if not image:
            raise PermanentError(
                f"no image is known for the agent {agent}",
                f"set {SETTING} to {agent}=IMAGE, or to a pattern like registry.example.org/turnout-{{agent}}:1.0",
            )
        return image


def read_images(given: str) -> Images:
    """``agent=image`` and at most one pattern, separated by commas or blanks. Raises: ValueError."""
    named, pattern = {}, ""
    for each in re.split(r"[\s,]+", given.strip()):
        agent, equals, image = each.partition("=")
        if equals and agent and _REFERENCE.fullmatch(image):
            named[agent] = image
        elif (
            not equals
            and "{agent}" in each
            and not pattern
            and _REFERENCE.fullmatch(each.replace("{agent}", "x"))
        ):
            pattern = each
        elif each:
            raise ValueError(f"{each!r}: expected agent=image, or one pattern with {{agent}} in it")
    return Images(pattern, named)
