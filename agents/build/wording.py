"""What builders and registries say when something is wrong. Pure.

There is no other way to know: they have one exit code for everything. Only the builder's own last words count, since a
step of the build can write what it likes before them.
"""

from __future__ import annotations

import re
from enum import Enum

LONGEST = 400


class Wrong(Enum):
    NO_ROOM = "the disk is full"
    AWAY = "the registry cannot be reached"
    REFUSED = "the registry refuses"
    UNKNOWN_IMAGE = "the registry does not have it"
    NO_TLS = "the registry has no TLS, or a certificate that nobody knows"
    THEIRS = "the Dockerfile, or a step of it"
    OTHER = "something else"


# In this order. Source: Go's syscall and net errors; OCI Distribution Specification 1.1, "Error Codes".
_WORDS = (
    (Wrong.NO_ROOM, r"no space left on device|disk quota exceeded"),
    (Wrong.NO_TLS, r"server gave HTTP response to HTTPS client|x509: |tls: failed to verify"),
    (
        Wrong.REFUSED,
        r"unauthorized|authentication required|no basic auth credentials|denied:"
        r"|access to the resource is denied|403 \(?Forbidden",
    ),
    (Wrong.UNKNOWN_IMAGE, r"manifest unknown|name unknown|repository name not known|: not found$"),
    (
        Wrong.AWAY,
        r"connection refused|connection reset|i/o timeout|no such host|TLS handshake timeout|network is unreachable"
        r"|no route to host|use of closed network connection|server misbehaving|unexpected EOF|: EOF|broken pipe"
        r"|context deadline exceeded"
        r"|(?:status|code):? ?(?:5\d\d|429)|Too Many Requests|Bad Gateway|Service Unavailable|Internal Server Error",
    ),
)
_PATTERNS = [(wrong, re.compile(words, re.IGNORECASE)) for wrong, words in _WORDS]
_RUN = re.compile(r'building at STEP "RUN |returned a non-zero code')
# Source: buildah 1.28, imagebuildah; openshift/imagebuilder.
_THEIRS = re.compile(
    r"building at STEP|non-zero code|(?:COPY|ADD) failed|parse error|unknown instruction|file not found"
    r"|no such file or directory|no stages? "
    r"|target .* not found|could not find|requires at least one argument|expects a single argument"
    r"|invalid reference format|short-name|Containerfile|Dockerfile",
    re.IGNORECASE,
)


def last_words(said: bytes) -> str:
    """The builder's error, which is its last line."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines[-3:] if line.lower().startswith("error")]
    return (errors or lines or [""])[-1]


def read_wrong(said: bytes) -> Wrong:
    """``said``: the end of the builder's standard error."""
    words = last_words(said)
    for wrong, pattern in _PATTERNS:
        if pattern.search(words):
            # what a step of the build could not reach or write is its own affair, except the machine's disk
            return Wrong.THEIRS if _RUN.search(words) else wrong
    return Wrong.THEIRS if _THEIRS.search(words) else Wrong.OTHER


def no_room(said: bytes) -> bool:
    """Whether anybody says so: the builder, or a step of the build."""
    return b"no space left on device" in said.lower()


def killed(said: bytes) -> bool:
    """Whether a step was killed, which nobody does but the kernel when there is no memory left."""
    return b"container exited on killed" in said


def reason(said: bytes) -> str:
    """One line for people."""
    words = " ".join(last_words(said).split())
    words = "".join(each if each.isprintable() else "?" for each in words)
    words = re.sub(r"^error: ", "", words, flags=re.IGNORECASE)
    words = re.sub(r"(https?://[^\s\"?]+)\?[^\s\"]*", r"\1", words)  # what stands there is for machines
    return words if len(words) <= LONGEST else f"{words[: LONGEST // 2]} … {words[-LONGEST // 2 :]}"
