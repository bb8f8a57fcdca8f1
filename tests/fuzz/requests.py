"""Requests as no client of ours would send them, byte for byte, for any server that speaks HTTP/1.1."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import time
from collections.abc import Iterable, Iterator, Mapping

from tests.test_webhook import push
from turnout.webhook import sign

SIGNED_BY = b"between us"
CE = {"ce-id": "f1", "ce-source": "/fuzz", "ce-type": "turnout.run.cancel", "ce-specversion": "1.0"}
CANCEL = b'{"run": "nobody", "by": "ada"}'
JSON = {"content-type": "application/json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
GITHUB = {"x-github-event": "push", "x-github-delivery": "fuzz"}


def request(
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes,
    *,
    method: str = "POST",
    path: str = "/",
    length: bool = True,
) -> bytes:
    """``headers`` may name one twice. ``length``: a Content-Length is added."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in pairs)]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


def status(port: int, sent: bytes, within: float = 60.0) -> int:
    """The status that is answered; 0: the connection was closed without an answer. Raises: TimeoutError."""
    with socket.create_connection(("127.0.0.1", port), timeout=within) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)  # that is all: what announced more has lied
        except OSError:
            pass  # it has answered, and closed, before the end
        head = b""
        until = time.monotonic() + within
        while b"\r\n" not in head and time.monotonic() < until:
            try:
                piece = connection.recv(4096)
            except ConnectionError:
                break
            if not piece:
                break
            head += piece
    line = head.partition(b"\r\n")[0].split(b" ")
    return int(line[1]) if len(line) > 1 else 0


def deep(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + closing * levels


_BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "a list": b"[]",
    "cut": b'{"run": ',
    "deep lists": deep(5_000),
    "very deep lists": deep(100_000),
    "deep objects": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "deep, never closed": b'{"a":[' * 50_000,
    "deep in a field": b'{"run": ' + deep(950) + b', "by": "a"}',
    "1e400": b'{"run": 1e400, "by": "a"}',
    "a number of 5000 digits": b'{"run": ' + b"9" * 5_000 + b', "by": "a"}',
    "a number of a million digits": b'{"run": ' + b"9" * 990_000 + b', "by": "a"}',
    "NaN": b'{"run": NaN, "by": -Infinity}',
    "NULs": b'{"run": "a\\u0000b", "by": "\\u0000"}',
    "a raw NUL": b'{"run": "a\0b", "by": "a"}',
    "half a pair": b'{"run": "\\ud800", "by": "\\udfff"}',
    "bad UTF-8": b'{"run": "\xff\xfe\xed\xa0\x80", "by": "a"}',
    "a key twice": b'{"run": "a", "run": 7, "by": "a"}',
    "BOM": b"\xef\xbb\xbf" + CANCEL,
    "UTF-16": CANCEL.decode().encode("utf-16"),
    "CRLF": CANCEL.replace(b" ", b"\r\n"),
    "another line in a field": b'{"run": "a\\r\\nX-Evil: 1", "by": "a"}',
    "a key of 100 kB": b'{"' + b"k" * 100_000 + b'": 1}',
    "50000 keys": json.dumps({f"k{number}": 1 for number in range(50_000)}).encode(),
    "gzip": gzip.compress(CANCEL),
    "a bomb of gzip": gzip.compress(b" " * 20_000_000),
    "a megabyte and more": b'{"run": "' + b"x" * 1_100_000 + b'"}',
    "three megabytes": b" " * 3_000_000,
}


def to_an_event_function() -> Iterator[tuple[str, bytes]]:
    """What no dispatcher of ours posts to an event function."""
    for name, body in _BODIES.items():
        yield f"binary, {name}", request(CE | JSON, body)
        yield f"structured, {name}", request(STRUCTURED, body)
        yield f"no event, {name}", request(JSON, body)
        packed = base64.b64encode(body).decode()
        event = {
            "specversion": "1.0",
            "id": "f2",
            "source": "/s",
            "type": "turnout.run.cancel",
            "data_base64": packed,
        }
        yield f"packed, {name}", request(STRUCTURED, json.dumps(event).encode())
    yield "said to be gzip", request(CE | JSON | {"content-encoding": "gzip"}, _BODIES["a bomb of gzip"])
    for name in CE:
        less = {key: value for key, value in CE.items() if key != name}
        yield f"without {name}", request(less, CANCEL)
        yield f"{name} twice", request([*CE.items(), (name, CE[name])], CANCEL)
        for value in ("", " ", "%00", "%0d%0aX-Evil: 1", "%ED%A0%80", "%", "\xff", "x" * 5_000):
            yield f"{name} is {value[:10]!r}", request(CE | {name: value}, CANCEL)
    for value in (
        "yesterday",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-01-01T00:00:00",
    ):
        yield f"time is {value}", request(CE | {"ce-time": value}, CANCEL)
    for kind in (
        "text/plain",
        "application/xml",
        "x" * 5_000,
        "application/cloudevents-batch+json",
        "\xff",
        "",
    ):
        yield f"content type {kind[:20]!r}", request(CE | {"content-type": kind}, CANCEL)
    for version in ("0.3", "1.1", "2", "1.0, 1.0"):
        yield f"specversion {version}", request(CE | {"ce-specversion": version}, CANCEL)
    yield "many headers", request([*CE.items(), *((f"ce-x{n}", "1") for n in range(90))], CANCEL)
    yield "too many headers", request([*CE.items(), *((f"ce-x{n}", "1") for n in range(300))], CANCEL)
    yield from _spoilt(CE)


def to_the_webhook() -> Iterator[tuple[str, bytes]]:
    """What GitHub never sends; signed where it is not about the signature."""
    whole = json.dumps(push()).encode()
    for name, body in _BODIES.items():
        yield f"signed, {name}", request(GITHUB | _signature(body), body)
        yield f"signed ping, {name}", request(GITHUB | {"x-github-event": "ping"} | _signature(body), body)
        yield f"unsigned, {name}", request(GITHUB, body)
    for field in push():
        for name in ("deep in a field", "1e400", "half a pair", "NULs"):
            body = json.dumps({**push(), field: "@"}).encode().replace(b'"@"', _BODIES[name])
            yield f"{name} for {field}", request(GITHUB | _signature(body), body)
    good = sign(SIGNED_BY, whole)
    signatures = {
        "empty": "", "short": good[:-1], "long": good + "0", "no hex": "sha256=" + "z" * 64, "upper": good.upper(),
        "sha1": "sha1=" + "0" * 40, "beyond ASCII": "sha256=" + "\xff" * 64, "5 kB": "sha256=" + "0" * 5_000,
        "NaN": "NaN", "spaces": f"sha256= {good[7:]}", "two in one": f"{good},{good}",
    }  # fmt: skip
    for name, value in signatures.items():
        yield f"signature, {name}", request(GITHUB | {"x-hub-signature-256": value}, whole)
    pairs = [*GITHUB.items(), ("x-hub-signature-256", good), ("x-hub-signature-256", "sha256=00")]
    yield "two signatures", request(pairs, whole)
    for header in ("x-github-event", "x-github-delivery"):
        for value in ("", "x" * 5_000, "\x7f", "a\tb", "\xff", "../../etc", "%00", "'; DROP TABLE runs; --"):
            yield f"{header} is {value[:10]!r}", request(GITHUB | _signature(whole) | {header: value}, whole)
    form = b"payload=" + whole
    yield (
        "a form",
        request(GITHUB | _signature(form) | {"content-type": "application/x-www-form-urlencoded"}, form),
    )
    multipart = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"\r\n--x" * 20_000
    yield (
        "a form of parts",
        request(
            GITHUB | _signature(multipart) | {"content-type": "multipart/form-data; boundary=x"}, multipart
        ),
    )
    yield from _spoilt(GITHUB | _signature(whole), whole)


def _signature(body: bytes) -> dict[str, str]:
    return {"x-hub-signature-256": sign(SIGNED_BY, body)}


def _spoilt(headers: dict[str, str], body: bytes = CANCEL) -> Iterator[tuple[str, bytes]]:
    """HTTP itself, bent."""
    for method in (
        "GET",
        "HEAD",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "post",
        "\x01",
    ):
        yield f"method {method!r}", request(headers, body, method=method)
    for path in (
        "/..",
        "//",
        "/%00",
        "/%2e%2e/x",
        "/?" + "a=1&" * 1_000,
        "*",
        "http://x/",
        "/\xff",
        "/favicon.ico",
    ):
        yield f"path {path[:12]}", request(headers, body, path=path)
    for length in ("-1", "abc", "1, 2", "0x10", "+5", "1e3", " 5", "99999999999999999999999", ""):
        yield (
            f"length {length!r}",
            request([*headers.items(), ("Content-Length", length)], body, length=False),
        )
    two = [*headers.items(), ("Content-Length", "1"), ("Content-Length", "2")]
    yield "two lengths", request(two, body, length=False)
    chunked = [*headers.items(), ("Transfer-Encoding", "chunked")]
    yield "length and chunks", request(chunked, b"0\r\n\r\n")
    for name, chunks in {
        "no number": b"zz\r\n{}\r\n0\r\n\r\n",
        "negative": b"-1\r\n{}\r\n0\r\n\r\n",
        "huge": b"ffffffffffffffff\r\n{}",
        "an extension": b"2;" + b"x" * 5_000 + b"\r\n{}\r\n0\r\n\r\n",
        "trailers": b"2\r\n{}\r\n0\r\n" + b"X-Y: z\r\n" * 500 + b"\r\n",
        "whole": b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
        "of one byte": b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n",
    }.items():
        yield f"chunks, {name}", request(chunked, chunks, length=False)
    for coding in ("gzip, chunked", "chunked, chunked", "identity", "\x0bchunked", "xchunked"):
        pairs = [*headers.items(), ("Transfer-Encoding", coding)]
        yield f"coding {coding!r}", request(pairs, b"2\r\n{}\r\n0\r\n\r\n", length=False)
    yield "a header with a line in it", request(headers | {"X-A": "b\r\nX-Evil: 1"}, body)
    yield "a header with a bare LF", request(headers | {"X-A": "b\nX-Evil: 1"}, body)
    yield "a header with a NUL", request(headers | {"X-A": "b\0c"}, body)
    yield "a header without a name", request(headers | {"": "x"}, body)
    yield "a header with a space", request(headers | {"X A": "x"}, body)
    yield "a long header", request(headers | {"X-A": "x" * 100_000}, body)
    yield "expects to go on", request(headers | {"Expect": "100-continue"}, body)
    yield "wants to upgrade", request(headers | {"Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}, body)
    yield "HTTP/0.9", b"GET /\r\n\r\n"
    yield "HTTP/9.9", request(headers, body).replace(b"HTTP/1.1", b"HTTP/9.9", 1)
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100)
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n"
    yield "noise", bytes(range(256)) * 4 + b"\r\n\r\n"
