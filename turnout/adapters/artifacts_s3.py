"""A bucket of S3, or of a store that speaks like it and knows conditional writes (``If-None-Match: *``).

Who we are is what boto3 finds: its environment variables, profile, or the role of the machine.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from turnout.adapters.artifacts_objects import CHUNK, READERS, URL_GOOD_FOR
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import UploadUrl


def open_s3(bucket: str, endpoint: str = "") -> S3Bucket:
    """``endpoint``: empty: AWS's own. Checksums are sent where we say so: other stores know no others."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=endpoint or None,
        config=Config(
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if endpoint else None,
            retries={"mode": "standard", "max_attempts": 3},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=2 * READERS,
        ),
    )
    return S3Bucket(client, bucket)


class S3Bucket:
    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, name: str, content: bytes, media_type: str) -> None:
        with self._asking():
            self._client.put_object(**self._at(name), **_body(content), ContentType=media_type)

    def make(self, name: str, content: bytes, mark: str) -> bool:
        with self._asking(412, 409) as refused:  # 409: somebody is making it right now
            self._client.put_object(
                **self._at(name), **_body(content), IfNoneMatch="*", Metadata={"mark": mark}
            )
        return not refused

    def mark(self, name: str) -> str:
        found = self._head(name)
        return str(found["Metadata"].get("mark", "")) if found else ""

    def put_stream(self, name: str, chunks: Iterable[bytes], media_type: str) -> None:
        """In parts where it is large; S3 shows it once the last one is confirmed, and drops them when there is none."""
        from boto3.s3.transfer import TransferConfig

        with self._asking():
            self._client.upload_fileobj(
                io.BufferedReader(_Chunks(chunks)),
                self._bucket,
                name,
                ExtraArgs={"ContentType": media_type},
                Config=TransferConfig(
                    multipart_threshold=CHUNK, multipart_chunksize=CHUNK, use_threads=False
                ),
            )

    def upload_url(self, name: str, *, size: int, sha256: str, media_type: str) -> UploadUrl:
        """Size, type and content are signed, and S3 looks at all of them."""
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        said = {"ContentLength": size, "ContentType": media_type, "ChecksumSHA256": digest}
        with self._asking():
            url = self._client.generate_presigned_url(
                "put_object", Params=self._at(name) | said, ExpiresIn=URL_GOOD_FOR, HttpMethod="PUT"
            )
        return UploadUrl(str(url), {"Content-Type": media_type, "x-amz-checksum-sha256": digest})

    def read(self, name: str, start: int, most: int) -> bytes | None:
        ranged = (
            {"Range": f"bytes={start}-{start + most - 1 if most >= 0 else ''}"} if start or most >= 0 else {}
        )
        content: bytes | None = None
        with self._asking(404, 416) as refused:
            content = self._client.get_object(**self._at(name), **ranged)["Body"].read()
        return b"" if refused == [416] else content

    def size(self, name: str) -> int | None:
        found = self._head(name)
        return int(found["ContentLength"]) if found else None

    def names(self, prefix: str, *, after: str = "", page: int = 1000) -> Iterator[tuple[str, int]]:
        later = {"StartAfter": after} if after else {}
        with self._asking():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": page}, **later
            )
            for found in pages:
                for each in found.get("Contents", ()):
                    yield each["Key"], each["Size"]

    def _head(self, name: str) -> Any:
        """None: there is none."""
        with self._asking(404) as refused:
            found = self._client.head_object(**self._at(name))
        return None if refused else found

    def _at(self, name: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": name}

    @contextmanager
    def _asking(self, *expected: int) -> Iterator[list[int]]:
        """Raises our errors in place of boto3's. ``expected``: statuses that are an answer: the one that came."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

        refused: list[int] = []
        try:
            yield refused
        except ClientError as error:
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            code = str(error.response.get("Error", {}).get("Code", ""))
            if status in expected and code != "NoSuchBucket":
                refused.append(status)
                return
            said = (
                f"S3 bucket {self._bucket}: {status}: {error.response.get('Error', {}).get('Message', code)}"
            )
            if status in (401, 403, 404):
                raise TransientError(said, "let this account read, write and list the bucket") from error
            if status in (0, 408, 409, 429) or status >= 500:
                raise TransientError(said) from error
            raise PermanentError(said) from error
        except ParamValidationError as error:
            raise PermanentError(f"S3 bucket {self._bucket}: {error}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise TransientError(f"S3 bucket {self._bucket}: {error}") from error


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._rest:
            found = next(self._chunks, None)
            if found is None:
                return 0
            self._rest = found
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _body(content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).digest()
    return {"Body": content, "ChecksumSHA256": base64.b64encode(digest).decode()}
