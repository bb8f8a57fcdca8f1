"""What every call to Google's services shares: who asks, for how long, and what an error means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from turnout.core.errors import PermanentError, TransientError
from turnout.runtimes.reserved import CALL_LIMIT, NotMade

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

ONCE: Any = {"retry": None, "timeout": CALL_LIMIT}
"""For every call: no try of the client's own, which would outlive our deadline. Redelivery tries again."""
_LONGEST = 300  # characters of what a service says


def credentials_for(endpoint: str) -> Credentials | None:
    """None: the application's own. Nothing is shown to an ``http://`` address, where anybody may listen."""
    if endpoint.startswith("http://"):
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    return None


def client_options(endpoint: str) -> dict[str, str]:
    return {"api_endpoint": endpoint} if endpoint else {}


@contextmanager
def asking(what: str, *, hint: str, makes: bool = False) -> Iterator[None]:
    """Raises our errors in place of Google's. ``what``: ``Cloud Run: job x``. ``hint``: for what cannot be mended by
    trying again. ``makes``: the request makes something, so that it counts whether it can have arrived.
    """
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except GoogleAPICallError as error:
        raise _translated(error, what, hint, makes) from error
    except GoogleAuthError as error:
        said = f"{what}: we could not sign in: {_line(str(error))}"
        if getattr(error, "retryable", False):
            raise NotMade(said) from error
        raise PermanentError(
            said, "give the process a service account, or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from error
    except RequestException as error:
        said = f"{what}: no answer: {_line(str(error))}"
        raise (NotMade if _never_left(error) else TransientError)(said) from error


def _translated(error: Any, what: str, hint: str, makes: bool) -> TransientError | PermanentError:
    """By the HTTP status. Source: google.api_core.exceptions, and AIP-193 for what the codes mean."""
    code = int(error.code or 0)
    said = f"{what}: {code}: {_line(str(error.message))}"
    if code in (408, 409, 499) or code >= 500 or code == 0:
        return TransientError(said)
    if code == 429:
        return (NotMade if makes else TransientError)(
            said, "the quota is used up: wait, or ask for more", retry_after=_retry_after(error)
        )
    return PermanentError(said, hint)


def _retry_after(error: Any) -> float | None:
    headers = getattr(error.response, "headers", None) or {}
    given = str(headers.get("Retry-After", ""))
    return float(given) if given.isdecimal() else None


def _never_left(error: BaseException) -> bool:
    """Whether no connection was made, so that the request was never sent."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
