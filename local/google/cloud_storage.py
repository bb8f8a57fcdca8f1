"""What of Cloud Storage's JSON API a build needs: objects that are put, read in pieces, and removed.

Source: Cloud Storage, "JSON API", objects; "Resumable uploads".
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c

_OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)")
_UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Kept:
    content: bytes
    generation: int


class CloudStorage:
    """`answer` goes into a `RestStandIn` as ``raw``. ``objects``: bucket and name to what is kept there."""

    def __init__(self, *buckets: str) -> None:
        self.buckets = set(buckets)
        self.objects: dict[tuple[str, str], Kept] = {}
        self.refuses = 0
        """An HTTP status that every upload gets; 0: none."""
        self._generation = 1_700_000_000_000_000
        self._begun: dict[str, tuple[str, str, bytes]] = {}

    def answer(self, verb: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer | None:
        parts = urlsplit(target)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if found := _UPLOAD.fullmatch(parts.path):
            return self._upload(verb, found[1], asked, headers, body)
        if found := _OBJECT.fullmatch(parts.path):
            return self._object(verb, (found[1], unquote(found[2])), asked, headers)
        return None

    def put(self, bucket: str, name: str, content: bytes) -> Kept:
        self._generation += 1
        self.objects[(bucket, name)] = kept = Kept(content, self._generation)
        return kept

    def _upload(
        self, verb: str, bucket: str, asked: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Answer:
        if bucket not in self.buckets:
            return _problem(404, "The specified bucket does not exist.")
        if self.refuses:
            return _problem(self.refuses, "refused for a test")
        given = {name.lower(): value for name, value in headers.items()}
        if verb == "PUT":
            _, name, before = self._begun[asked["upload_id"]]
            content = before + body
            if given["content-range"].endswith("/*") or len(content) < int(
                given["content-range"].rpartition("/")[2]
            ):
                self._begun[asked["upload_id"]] = (bucket, name, content)
                return 308, {"Range": f"bytes=0-{len(content) - 1}"}, b""
            return self._stored(bucket, name, content)
        if asked["uploadType"] == "resumable":
            name = json.loads(body)["name"]
            if self._conflicts(bucket, name, asked):
                return _problem(412, "At least one of the pre-conditions you specified did not hold.")
            ticket = f"upload-{len(self._begun)}"
            self._begun[ticket] = (bucket, name, b"")
            where = f"http://{given['host']}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={ticket}"
            return 200, {"Location": where}, b""
        whole = b"Content-Type: " + given["content-type"].encode() + b"\r\n\r\n" + body
        said, content_part = email.message_from_bytes(whole, policy=email.policy.HTTP).iter_parts()
        name = json.loads(said.get_content())["name"]
        if self._conflicts(bucket, name, asked):
            return _problem(412, "At least one of the pre-conditions you specified did not hold.")
        content = body.split(b"\r\n\r\n", 2)[2].rpartition(b"\r\n--")[0]
        assert content_part.get_content_type()
        return self._stored(bucket, name, content)

    def _conflicts(self, bucket: str, name: str, asked: Mapping[str, str]) -> bool:
        return asked.get("ifGenerationMatch") == "0" and (bucket, name) in self.objects

    def _stored(self, bucket: str, name: str, content: bytes) -> Answer:
        self.put(bucket, name, content)
        return self._described(bucket, name)

    def _described(self, bucket: str, name: str) -> Answer:
        kept = self.objects[(bucket, name)]
        sum_ = base64.b64encode(google_crc32c.value(kept.content).to_bytes(4, "big")).decode()
        said = {
            "bucket": bucket,
            "name": name,
            "generation": str(kept.generation),
            "size": str(len(kept.content)),
            "crc32c": sum_,
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(said).encode()

    def _object(
        self, verb: str, place: tuple[str, str], asked: Mapping[str, str], headers: Mapping[str, str]
    ) -> Answer:
        kept = self.objects.get(place)
        if kept is None:
            return _problem(404, f"No such object: {'/'.join(place)}")
        if verb == "DELETE":
            if asked.get("ifGenerationMatch") not in (None, str(kept.generation)):
                return _problem(412, "At least one of the pre-conditions you specified did not hold.")
            del self.objects[place]
            return 204, {}, b""
        if asked.get("alt") != "media":
            return self._described(*place)
        span = re.fullmatch(
            r"bytes=(\d+)-(\d*)", dict(headers).get("Range") or dict(headers).get("range", "")
        )
        if span is None:
            return 200, {}, kept.content
        start, end = int(span[1]), int(span[2] or len(kept.content))
        if start >= len(kept.content):
            return 416, {"Content-Range": f"bytes */{len(kept.content)}"}, b""
        piece = kept.content[start : end + 1]
        where = f"bytes {start}-{start + len(piece) - 1}/{len(kept.content)}"
        return 206, {"Content-Range": where}, piece


def _problem(code: int, message: str) -> Answer:
    said = {"error": {"code": code, "message": message}}
    return code, {"Content-Type": "application/json"}, json.dumps(said).encode()
