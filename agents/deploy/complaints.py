"""What helm and kubectl complain of, told apart by their words. Pure.

Source: the messages of k8s.io/client-go, k8s.io/apimachinery/pkg/api/errors, kubectl and helm (versions 3 and 4).
"""

from __future__ import annotations

import re
from typing import Literal

from agents.sdk.workspace import AgentError
from turnout.core.errors import TransientError, TurnoutError


class Refused(AgentError):
    """What the repository wants to deploy is not taken: that is the code's fault."""


Complaint = Literal[
    "untrusted", "unauthorized", "denied", "forbidden", "unreachable", "locked", "conflict", "unknown kind",
    "no namespace", "not found", "timeout", "invalid", "",
]  # fmt: skip

# In this order: the first that is found is what it is.
_WORDS: tuple[tuple[Complaint, str], ...] = (
    ("untrusted", r"x509: |certificate signed by unknown authority|tls: failed to verify"),
    (
        "unauthorized",
        r"\(Unauthorized\)|must be logged in|asked for the client to provide credentials|\bUnauthorized\b",
    ),
    ("locked", r"another operation \(install/upgrade/rollback\) is in progress"),
    ("conflict", r"Apply failed with \d+ conflict|conflict occurred while applying|conflicts? with \"[^\"]+\""),
    (
        "denied",
        r"exceeded quota|violates PodSecurity|denied the request|is being terminated|must be equal to or less than",
    ),
    ("forbidden", r"is forbidden: User|cannot (?:get|list|create|patch|update|delete|watch) resource|\(Forbidden\)"),
    (
        "unreachable",
        r"connection refused|no such host|i/o timeout|TLS handshake timeout|did you specify the right host or port"
        r"|network is unreachable|no route to host|connection reset by peer|Client\.Timeout exceeded|unexpected EOF"
        r"|: EOF\b|Unable to connect to the server|cluster unreachable|\(ServiceUnavailable\)|etcdserver: "
        r"|server is currently unable to handle|\(TooManyRequests\)|\(ServerTimeout\)|http2: client connection lost",
    ),
    ("unknown kind", r"no matches for kind|ensure CRDs are installed first|could not find the requested resource"),
    ("no namespace", r"namespaces \"[^\"]*\" not found"),
    (
        "timeout",
        r"timed out waiting|context deadline exceeded|would exceed context deadline|progress deadline|"
        r"resource .* not ready|not all resources are ready",
    ),
    ("not found", r"\(NotFound\)|release: not found|not found$"),
    ("invalid", r"is invalid:|\(BadRequest\)|\(Invalid\)|error (?:validating|parsing)|failed to create typed patch"),
)  # fmt: skip
_PATTERNS = tuple((kind, re.compile(words, re.MULTILINE)) for kind, words in _WORDS)


def complaint(said: str) -> Complaint:
    """What it is that a tool says on its standard error; empty: none of these."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(said)), "")


def last_words(said: str, longest: int = 300) -> str:
    """The line of an error output that says what is wrong, without a tool's ``Error:``."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(?i)error|unable|the .* is invalid", line)] or lines[-1:]
    text = re.sub(r"^(?i:error(?: from server)?)(?::| (?=\())\s*", "", telling[0]) if telling else ""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def platform(said: str, server: str) -> TurnoutError | None:
    """The error for what is nobody's code's fault, or None where it may be."""
    words = last_words(said)
    match complaint(said):
        case "unreachable":
            return TransientError(
                f"the cluster at {server} cannot be reached: {words}",
                "look whether its API server is up, and whether the agents' machine may connect to it",
            )
        case "untrusted":
            return AgentError(
                f"the cluster at {server} shows a certificate that is not trusted: {words}",
                "put its authority into the kubeconfig (certificate-authority-data), or into KUBE_CA",
            )
        case "unauthorized":
            return AgentError(
                f"the cluster at {server} does not take the credentials", "renew the environment's secret"
            )
        case "forbidden":
            return AgentError(
                f"the cluster forbids it: {words}", "give the account of the environment's secret that right"
            )
        case _:
            return None
