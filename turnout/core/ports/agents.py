"""What attempts are given, and what fences them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from turnout.core.change import Change


class Signer(Protocol):
    """A key. ``public``: its public half in PEM."""

    @property
    def keyid(self) -> str: ...

    @property
    def public(self) -> str: ...

    def sign(self, payload: str) -> str:
        """The signature of an in-toto envelope with this payload, in base64; always the same of the same."""
        ...


class Source(Protocol):
    """Reads a repository at a commit, without a working tree (a git mirror, or GitHub's API)."""

    def read(self, change: Change, path: str) -> str | None:
        """The file's text at ``change.config_sha or change.sha``; None where there is no such file.

        Raises: TransientError (remote away), PermanentError (no such commit or repository; not text; over 1 MB).
        """
        ...

    def head(self, change: Change) -> str:
        """The commit that ``change.ref`` points to now. Raises: TransientError, PermanentError (no such ref)."""
        ...

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        """Files that differ between ``before`` (or the merge base with ``base_branch``) and ``sha``; None: unknown."""
        ...


@runtime_checkable
class Secrets(Protocol):
    def resolve(self, project: str, environment: str, names: Sequence[str]) -> Mapping[str, str]:
        """Raises: PermanentError naming every secret that is not bound, and where to bind it."""
        ...


ClaimState = Literal["free", "claimed", "running", "lost", "finished"]
"""``lost``: marked running, and the worker's process is gone."""


class Claims(Protocol):
    """Fences an attempt: of all workers that were handed it, one runs it, once."""

    def claim(self, attempt: str, worker: str) -> bool:
        """False: it runs, or ran, already. A claim of one's own that never became `running` is given again.

        Raises: TransientError while another living worker holds it without having started: it may yet give it back.
        """
        ...

    def release(self, attempt: str) -> None:
        """Give back a claim of one's own whose attempt has not been started; anything else is left as it is."""
        ...

    def state(self, attempt: str) -> ClaimState:
        """How far it has come. A claim whose worker died before it started is ``free``."""
        ...

    def running(self, attempt: str) -> None:
        """From here on the attempt may have effects: it is never claimed again, also not after a crash."""
        ...

    def finished(self, attempt: str) -> None: ...

    def cancel(self, attempt: str) -> None:
        """Ask whoever runs it to stop; also before anyone has claimed it."""
        ...

    def cancelled(self, attempt: str) -> bool: ...

    def orphans(self) -> Sequence[str]:
        """Attempts marked running whose worker's process is gone."""
        ...

    def prune(self, older_than: float) -> int:
        """Forget what finished more than so many seconds ago; how many that were."""
        ...
