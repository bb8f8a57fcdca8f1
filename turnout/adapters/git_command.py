"""Runs git on repositories that nobody here trusts: no hooks, no configuration but ours, no prompts, few protocols.

Nothing of the machine's or the user's git configuration is read. A credential never is in an address, a file or on a
command line: it is a header, for its repository only, in the environment of the git process.
Source: git(1), environment variables; git-config(1), safe.directory, protocol.allow, http.<url>.extraHeader.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from turnout.core.errors import PermanentError, TransientError, TurnoutError

PROTOCOLS = ("file", "http", "https", "ssh")
TIMEOUT = 600.0  # seconds, for what talks to a remote

_PASSED_ON = (
    "PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE",
    "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "all_proxy", "ALL_PROXY",
)  # fmt: skip

# Read by every git process of ours in place of ~/.gitconfig, so it reaches the far side of a local fetch as well.
CONFIG = """\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
[safe]
\tdirectory = *
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
[uploadpack]
\tallowAnySHA1InWant = true
[http]
\tlowSpeedLimit = 1000
\tlowSpeedTime = 60
[transfer]
\tcredentialsInUrl = die
"""


@dataclass(frozen=True, slots=True)
class Credential:
    """For one remote. GitHub takes any user name beside a token."""

    password: str = field(repr=False)
    username: str = "x-access-token"


class GitFailed(Exception):
    """git ended with ``code``; ``said`` is its error output."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said


@dataclass(frozen=True, slots=True)
class Address:
    """A remote as git is told it, without any credential. ``folder``: where it is one of this machine."""

    url: str
    folder: Path | None = None
    credential: Credential | None = None

    def __str__(self) -> str:
        return self.url


def address(given: str, credential: Credential | None = None) -> Address:
    """What ``given`` means: a path, ``file:``, ``http:``, ``https:``, ``ssh:`` or ``user@host:path``.

    A password in the address is taken out of it and used as the credential, unless another is given.
    Raises: PermanentError for any other protocol.
    """
    if not given or given.startswith("-") or any(ord(each) < 32 for each in given):
        raise PermanentError(f"{given!r} is no address of a repository")
    try:
        given.encode()
        return _address(given, credential)
    except (ValueError, RuntimeError) as error:  # a host in brackets that is none, a `~` of nobody
        raise PermanentError(f"{given!a} is no address of a repository: {error}") from error


def _address(given: str, credential: Credential | None) -> Address:
    """Raises: PermanentError; ValueError, RuntimeError for what Python cannot take apart."""
    scheme, separator, _ = given.partition("://")
    if not separator:
        if re.match(r"[^/]*::", given):
            raise _refused(given.partition("::")[0])
        if re.match(r"[^/]+:", given):
            return Address(given)  # user@host:path
        return _local(Path(given).expanduser())
    if scheme not in PROTOCOLS:
        raise _refused(scheme)
    parts = urlsplit(given)
    if scheme == "file":
        return _local(Path(unquote(parts.path)))
    if not parts.hostname:
        raise ValueError("it names no host")
    if scheme == "ssh" or not (parts.username or parts.password):
        return Address(given, credential=credential)
    found = Credential(
        unquote(parts.password or parts.username or ""),
        unquote(parts.username or "") if parts.password else "x-access-token",
    )
    return Address(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), None, credential or found)


def _refused(protocol: str) -> PermanentError:
    return PermanentError(
        f"the protocol {protocol!r} of the repository's address is not allowed", f"use {', '.join(PROTOCOLS)}"
    )


def _local(path: Path) -> Address:
    folder = path.absolute().resolve()
    return Address(str(folder), folder)


@dataclass(frozen=True, slots=True)
class Git:
    """``config`` is where `CONFIG` is written."""

    config: Path

    def prepare(self) -> None:
        if not self.config.exists():
            self.config.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.config.with_name(f"{self.config.name}.{os.getpid()}-{threading.get_ident()}")
            temporary.write_text(CONFIG)
            temporary.replace(self.config)

    def environment(
        self, remote: Address | None = None, extra: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= {
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
            "GIT_LFS_SKIP_SMUDGE": "1",
        }
        if remote is not None and remote.credential is not None:
            env |= _header(remote.url, remote.credential)
        return env | dict(extra or {})

    def run(
        self,
        arguments: Sequence[str],
        *,
        at: Path,
        remote: Address | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        keep: Sequence[int] = (),
        timeout: float = TIMEOUT,
    ) -> bytes:
        """Its standard output. ``keep``: descriptors that stay open in git, so that a lock outlives us.

        Raises: GitFailed; TransientError after ``timeout`` seconds; PermanentError where git isn't installed.
        """
        try:
            process = subprocess.Popen(
                ["git", *arguments],
                cwd=at,
                env=self.environment(remote, env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=tuple(keep),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if not at.is_dir():
                raise PermanentError(f"{at}: no such folder") from error
            raise PermanentError("git is not installed", "apt-get install git, dnf install git") from error
        with process:
            try:
                out, said = process.communicate(stdin, timeout)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise TransientError(f"git {arguments[0]} did not end within {timeout:g} s") from error
                raise
        if process.returncode:
            raise GitFailed(process.returncode, said.decode("utf-8", "replace").strip())
        return out


def _header(url: str, credential: Credential) -> dict[str, str]:
    """For this address and what is below it. git would repeat the header wherever it is redirected to: it isn't."""
    parts = urlsplit(url)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        return {}
    pair = base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"http.{url}.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
        "GIT_CONFIG_KEY_1": "http.followRedirects",
        "GIT_CONFIG_VALUE_1": "false",
    }


_AWAY = re.compile(
    r"could not resolve host|couldn't connect|failed to connect|connection (?:timed out|refused|reset|closed)"
    r"|network is unreachable|no route to host|early eof|unexpected disconnect|the remote end hung up"
    r"|(?:HTTP|error:) (?:429|5\d\d)|operation (?:too slow|timed out)|timed out|rpc failed|gnutls|ssl_error"
    r"|temporary failure|no space left|unable to write|disk quota exceeded|cannot allocate memory|input/output error",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"authentication failed|could not read username|could not read password|permission denied"
    r"|invalid credentials|http basic: access denied|error: 40[13]"
    r"|authentication required|authorization error|host key verification failed",
    re.IGNORECASE,
)

_MOVED = re.compile(r"error: 30[12378]\b")


def said(doing: str, remote: Address, failed: GitFailed) -> TurnoutError:
    """The error that a failed git means: can trying again help?"""
    lines = [line for line in failed.said.splitlines() if line.strip() and not line.startswith("warning:")]
    fatal = next((line for line in lines if line.startswith(("fatal:", "ERROR:", "error:"))), "")
    reason = f"{doing} {remote}: {fatal or (lines[-1] if lines else f'git ended with {failed.code}')}"
    if _MOVED.search(failed.said):
        return PermanentError(
            reason, "it has moved: write its new address as `clone_url`; a credential follows no redirect"
        )
    if _DENIED.search(failed.said):
        return PermanentError(reason, "check the repository's address and the credential for it")
    if failed.code < 0 or _AWAY.search(failed.said):
        return TransientError(reason)
    return PermanentError(reason, "check the repository's address")
