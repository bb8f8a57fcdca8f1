"""Whose fault it is that an image could not be made, or not be pushed."""

from __future__ import annotations

from typing import NoReturn

from agents.build.asked import BuildFailed
from agents.build.registry_access import CONFIG, PASSWORD, USERNAME
from agents.build.wording import Wrong
from agents.sdk.workspace import AgentError
from turnout.core.errors import TransientError


def blame(wrong: Wrong, said: str) -> NoReturn:
    """Raises: BuildFailed, the code's; TransientError, what may pass; AgentError, anything else."""
    match wrong:
        case Wrong.NO_ROOM:
            raise TransientError(said, "make room on the disk of the builder, or lower TURNOUT_BUILD_CACHE")
        case Wrong.AWAY:
            raise TransientError(said, "is the registry there, and reachable from the builder?")
        case Wrong.REFUSED:
            raise AgentError(said, f"name {USERNAME} and {PASSWORD} (or {CONFIG}) among the stage's secrets")
        case Wrong.UNKNOWN_IMAGE:
            raise AgentError(
                said, "look at the image's name in the Dockerfile's FROM; the registry does not have it"
            )
        case Wrong.NO_TLS:
            raise AgentError(said, "give the registry a certificate, or let whoever runs the agents list it")
        case Wrong.THEIRS:
            raise BuildFailed(said)
        case Wrong.OTHER:
            raise AgentError(said, "see the log for its words")
