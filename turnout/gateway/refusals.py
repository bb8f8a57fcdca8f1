"""Why the gateway does not do what a job asks; each has a status of its own at the door."""

from __future__ import annotations

from turnout.core.errors import PermanentError, TransientError


class NoPass(PermanentError):
    """No token, or one that has expired."""


class WrongPass(PermanentError):
    """A token that nobody issued for this attempt."""


class NotWanted(PermanentError):
    """Another job has this attempt, or it has ended: whoever asks should end, too, and not as a failure."""


class NotNow(PermanentError):
    """The attempt has not been recorded as started yet, or is to stop."""


class TooLarge(PermanentError):
    """More than is taken."""


class TooMuch(TransientError):
    """More than is taken in this time."""


class Gap(PermanentError):
    """A piece of a log that does not follow on what is kept; ``have``: bytes that are."""

    def __init__(self, have: int) -> None:
        super().__init__(f"{have} bytes of the log are kept", "go on from there")
        self.have = have
