"""Masks secrets in a stream of bytes, in the forms in which tools let them out, wherever the stream is cut.

Forms: as it is; backwards; base64 (also URL-safe, at all three alignments, also wrapped into lines); base32;
hexadecimal, also in dumps; URL-encoded; escaped for JSON, XML and HTML; quoted for a shell or as Python does; each line
of a secret of several lines. A form shorter than `SHORTEST` characters is not looked for, because masking
``42`` would make every log unreadable: `Masker.unmasked` names the secrets that stay visible for that reason.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import quote, quote_plus

from agents.sdk.terminal import plain

MASK = b"***"
SHORTEST = 4  # characters
_NO_SECRET = re.compile(
    r"(?:- )?(?:apiVersion|kind|preferences|current-context|clusters|contexts|users|cluster|context|user|name|namespace"
    r"|server|tls-server-name|insecure-skip-tls-verify):[^{]*"
)
"""Lines of a kubeconfig that keep nothing from anybody."""
_WRAPS = (57, 48)  # bytes that make one line of base64: 76 characters in MIME and base64(1), 64 in PEM


def forms(secret: str) -> frozenset[bytes]:
    """Everything that is to be masked because of one secret."""
    found: set[bytes] = set()
    shown = plain(secret.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
    for text in {secret, secret.strip(), *_lines(secret), shown}:
        raw = _raw(text)
        if len(text) < SHORTEST:
            continue
        found |= {raw, raw[::-1], _raw(text[::-1])}
        found |= {*_base64(raw), *_hexadecimal(raw), *_url_encoded(raw)}
        found |= {*_json_escaped(text), *_marked_up(text), *_quoted(text)}
    return frozenset(form for form in found if len(form) >= SHORTEST)


def _raw(text: str) -> bytes:
    """As it was in a file or a variable; half surrogate pairs that no decoder of ours has made are replaced."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _lines(secret: str) -> list[str]:
    lines = [line.strip() for line in secret.splitlines()]
    known = frozenset(lines)
    return [line for line in lines if not _is_public(line, known)] if len(lines) > 1 else []


def _is_public(line: str, lines: Collection[str]) -> bool:
    """Of a kubeconfig, half is in every log of a deploy, and keeps nothing from anybody."""
    return "kind: Config" in lines and "clusters:" in lines and bool(_NO_SECRET.fullmatch(line))


def _base64(raw: bytes) -> set[bytes]:
    """The characters that the secret alone decides, wherever it begins in what was encoded."""
    found = {base64.b64encode(raw).rstrip(b"=")}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).rstrip(b"=")
        found.add(encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6])
    for size in _WRAPS:
        found |= {base64.b64encode(raw[at : at + size]).rstrip(b"=") for at in range(0, len(raw), size)}
    found = {each for each in found if len(each) >= SHORTEST}
    return found | {each.translate(bytes.maketrans(b"+/", b"-_")) for each in found}


def _hexadecimal(raw: bytes) -> set[bytes]:
    pairs = [f"{byte:02x}" for byte in raw]
    found = {"".join(pairs), ":".join(pairs), "".join(f"\\x{each}" for each in pairs)}
    for line in (8, 16, 30):  # bytes in a line, or half a line, of hexdump -C, xxd and od, and xxd -p
        for at in range(0, len(pairs), line):
            part = pairs[at : at + line]
            if at == 0 or len(part) >= SHORTEST:
                twos = [first + second for first, second in zip(part[::2], [*part[1::2], ""], strict=False)]
                found |= {"".join(part), " ".join(part), " ".join(twos)}
    base32 = base64.b32encode(raw).rstrip(b"=")
    return (
        {each.encode() for each in found | {each.upper() for each in found}}
        | {base32, base32.lower()}
        | _beside_a_dump(raw)
    )


def _beside_a_dump(raw: bytes) -> set[bytes]:
    """Sixteen bytes a line, as text."""
    lines = [each.decode("utf-8", "replace").strip() for each in raw.split(b"\n")]
    known = frozenset(lines)
    secret = [not _is_public(line, known) for line in lines]
    begins = [0, *(at + 1 for at, byte in enumerate(raw) if byte == ord("\n"))]
    return {
        bytes(byte if 32 <= byte < 127 else ord(".") for byte in raw[at : at + 16])
        for at in range(0, len(raw), 16)
        if len(raw) - at >= 8 and any(secret[bisect_right(begins, at) - 1 : bisect_right(begins, at + 15)])
    }


def _marked_up(text: str) -> set[bytes]:
    """As XML and HTML have it, with the quotes as they are or escaped in one of the usual ways."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;")
    found = {
        each.replace('"', double).replace("'", single)
        for each in (plain, plain.replace(">", "&gt;"))
        for double in ('"', "&quot;", "&#34;")
        for single in ("'", "&#39;", "&#x27;", "&apos;")
    }
    return {_raw(each) for each in found}


def _quoted(text: str) -> set[bytes]:
    ways = (
        repr(text)[1:-1],
        ascii(text)[1:-1],
        text.replace("\\", "\\\\").replace("'", "\\'"),
        text.replace("'", "'\\''"),  # bash -x
        text.replace("'", "'\"'\"'"),  # shlex
    )
    return {_raw(each) for each in ways}


def _url_encoded(raw: bytes) -> set[bytes]:
    encoded = {quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="/:@!$&'()*+,;=")}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in encoded}
    return {each.encode() for each in encoded | lower}


def _json_escaped(text: str) -> set[bytes]:
    found: set[bytes] = set()
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        found |= {_raw(each) for each in (escaped, escaped.replace("/", "\\/"))}
    return found


class Masker:
    """Feed it a stream piece by piece; what comes out holds no form of a secret.

    It holds back no more than the end of the stream that could be the beginning of a form.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """``secrets``: name to value."""
        self.unmasked = tuple(
            sorted(name for name, value in secrets.items() if value and len(value.strip()) < SHORTEST)
        )
        self._forms = tuple(
            sorted({form for value in secrets.values() for form in forms(value)}, key=len, reverse=True)
        )
        self._held = b""
        self._covered = 0  # so many bytes at the start of what is held are masked already

    def hide(self, secret: str) -> None:
        """One more, from now on."""
        self._forms = tuple(sorted({*self._forms, *forms(secret)}, key=len, reverse=True))

    def feed(self, piece: bytes) -> bytes:
        text = self._held + piece
        if not self._forms:
            return text
        cut = self._beginning(text)
        shown, covered = self._mask(text, cut)
        self._held, self._covered = text[cut:], covered
        return shown

    def finish(self) -> bytes:
        """What was held back: the stream has ended, so no form can begin in it any more."""
        shown, _ = self._mask(self._held, len(self._held))
        self._held, self._covered = b"", 0
        return shown

    def whole(self, content: bytes) -> bytes:
        """Something that is no part of the stream, masked."""
        apart = object.__new__(Masker)
        apart._forms, apart._held, apart._covered = self._forms, b"", 0
        return apart.feed(content) + apart.finish()

    def text(self, content: str) -> str:
        """A text that is no part of the stream, masked."""
        return self.whole(_raw(content)).decode("utf-8", "replace")

    def hides(self, content: bytes) -> bool:
        """Whether there is a secret in it, in any form."""
        return any(form in content for form in self._forms)

    def _beginning(self, text: bytes) -> int:
        """Where the earliest end of ``text`` begins that is a beginning of some form."""
        earliest = len(text)
        for form in self._forms:
            at = max(0, len(text) - len(form) + 1)
            while (at := text.find(form[:1], at, earliest)) >= 0:
                if form.startswith(text[at:]):
                    earliest = at
                    break
                at += 1
        return earliest

    def _mask(self, text: bytes, cut: int) -> tuple[bytes, int]:
        """``text`` up to ``cut``, masked; and how much after the cut belongs to a match that began before it."""
        if cut == 0:
            return b"", self._covered
        spans = _merged(self._matches(text), self._covered)
        shown: list[bytes] = []
        at = covered = 0
        for start, end in spans:
            if start >= cut:
                break
            shown.append(text[at:start])
            if start > 0 or not self._covered:
                shown.append(MASK)
            at = min(end, cut)
            covered = max(0, end - cut)
        shown.append(text[at:cut])
        return b"".join(shown), covered

    def _matches(self, text: bytes) -> Iterable[tuple[int, int]]:
        for form in self._forms:
            at = text.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = text.find(form, at + 1)


def _merged(spans: Iterable[tuple[int, int]], covered: int) -> list[tuple[int, int]]:
    """Overlapping spans made one, in order; the first ``covered`` bytes are a span, too."""
    merged: list[tuple[int, int]] = [(0, covered)] if covered else []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
