"""A bucket of Google Cloud Storage. Who we are is what Google's libraries find (application default credentials)."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog

from turnout.adapters.artifacts_objects import CHUNK, URL_GOOD_FOR
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import UploadUrl

log = structlog.get_logger(__name__)
_TIMEOUT = (5, 60)  # seconds to connect, and between two bytes
_IAM_TIMEOUT = 10  # seconds
_PATIENCE = 20.0  # seconds of tries; whoever asks us has a deadline, too


def open_gcs(bucket: str, endpoint: str = "") -> GcsBucket:
    """``endpoint``: of an emulator, which is shown no credentials; empty: Google's own. Raises: PermanentError."""
    from google.cloud.storage import Client

    if endpoint:
        from google.auth.credentials import AnonymousCredentials

        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return GcsBucket(Client("turnout", nobody, client_options={"api_endpoint": endpoint}), bucket)
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except GoogleAuthError as error:
        raise PermanentError(
            f"bucket {bucket} of Cloud Storage: we could not sign in: {str(error)[:300]}",
            "give the process a service account, or set GOOGLE_APPLICATION_CREDENTIALS",
        ) from error
    return GcsBucket(Client(project or "turnout", credentials), bucket, signer=credentials)


class GcsBucket:
    """``signer``: the credentials that sign addresses; None: nobody can, and what comes goes through us."""

    def __init__(self, client: Any, bucket: str, signer: Any = None) -> None:
        self._client = client
        self._bucket = client.bucket(bucket)
        self._signer = signer
        self._refreshing = threading.Lock()

    def put(self, name: str, content: bytes, media_type: str) -> None:
        with self._asking():
            self._bucket.blob(name).upload_from_string(content, media_type, **_again())

    def make(self, name: str, content: bytes, mark: str) -> bool:
        blob = self._bucket.blob(name)
        blob.metadata = {"mark": mark}
        with self._asking(412) as refused:
            blob.upload_from_string(content, "application/octet-stream", if_generation_match=0, **_again())
        return not refused

    def mark(self, name: str) -> str:
        with self._asking():
            found = self._bucket.get_blob(name, **_again())
        return str((found.metadata or {}).get("mark", "")) if found else ""

    def put_stream(self, name: str, chunks: Iterable[bytes], media_type: str) -> None:
        """A resumable upload, which is seen once its last byte has come, and given up when ``chunks`` raises."""
        blob = self._bucket.blob(name)
        with (
            self._asking(),
            blob.open("wb", chunk_size=CHUNK, content_type=media_type, **_again()) as file,
        ):
            for chunk in chunks:
                file.write(chunk)

    def upload_url(self, name: str, *, size: int, sha256: str, media_type: str) -> UploadUrl | None:
        """None where nothing can be signed: that takes a key, or the right to sign as ourselves by IAM."""
        if self._signer is None:
            return None
        from google.auth.exceptions import GoogleAuthError

        headers = {
            "Content-Type": media_type,
            "x-goog-content-length-range": f"{size},{size}",
            "x-goog-content-sha256": sha256.lower(),
        }
        try:
            url = self._bucket.blob(name).generate_signed_url(
                version="v4",
                expiration=timedelta(seconds=URL_GOOD_FOR),
                method="PUT",
                headers=headers,
                api_access_endpoint=self._client.api_endpoint,
                credentials=self._signing(),
            )
        except (
            GoogleAuthError,
            AttributeError,
        ) as error:  # AttributeError: a person's, which have no account
            log.warning(
                "no upload addresses can be signed: all artifacts go through the gateway",
                reason=str(error)[:300],
                hint="let its account sign as itself: roles/iam.serviceAccountTokenCreator",
            )
            self._signer = None
            return None
        return UploadUrl(url, headers)

    def _signing(self) -> Any:
        """Credentials that sign: those with a key; a machine's, for which IAM does it. Raises: GoogleAuthError."""
        from google.auth.credentials import Signing

        if isinstance(self._signer, Signing):
            return self._signer
        from google.auth.iam import Signer
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        ask = functools.partial(Request(), timeout=_IAM_TIMEOUT)
        with self._refreshing:
            if not self._signer.valid:
                self._signer.refresh(ask)  # before, a machine does not know the name of its account
        account = self._signer.service_account_email
        return Credentials(Signer(ask, self._signer, account), account, "")  # type: ignore[no-untyped-call]

    def read(self, name: str, start: int, most: int) -> bytes | None:
        end = start + most - 1 if most >= 0 else None
        content: bytes | None = None
        with self._asking(404, 416) as refused:
            content = self._bucket.blob(name).download_as_bytes(
                start=start or None, end=end, raw_download=True, **_again()
            )
        return b"" if refused == [416] else content

    def size(self, name: str) -> int | None:
        with self._asking():
            found = self._bucket.get_blob(name, **_again())
        return int(found.size) if found else None

    def names(self, prefix: str, *, after: str = "", page: int = 1000) -> Iterator[tuple[str, int]]:
        with self._asking():
            for each in self._client.list_blobs(
                self._bucket,
                prefix=prefix,
                start_offset=after or None,
                page_size=page,
                fields="items(name,size),nextPageToken",
                **_again(),
            ):
                yield each.name, int(each.size)

    @contextmanager
    def _asking(self, *expected: int) -> Iterator[list[int]]:
        """Raises our errors in place of Google's. ``expected``: statuses that are an answer: the one that came."""
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests.exceptions import RequestException

        refused: list[int] = []
        what = f"bucket {self._bucket.name} of Cloud Storage"
        try:
            yield refused
        except (GoogleAPICallError, InvalidResponse) as error:
            status = (
                int(error.code or 0) if isinstance(error, GoogleAPICallError) else error.response.status_code
            )
            if status in expected:
                refused.append(status)
                return
            said = f"{what}: {status}: {' '.join(str(error).split())[:300]}"
            if status in (401, 403, 404):
                raise TransientError(said, "let this account read, write and list the bucket") from error
            if status in (0, 408, 409, 429, 499) or status >= 500:
                raise TransientError(said) from error
            raise PermanentError(said) from error
        except (RetryError, GoogleAuthError, DataCorruption, RequestException) as error:
            raise TransientError(f"{what}: {' '.join(str(error).split())[:300]}") from error


def _again() -> dict[str, Any]:
    """For every call: all of ours may be made twice."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return {"retry": DEFAULT_RETRY.with_timeout(_PATIENCE), "timeout": _TIMEOUT}
