"""Submodules: which a commit has, and where each may be fetched from.

A commit says both, so anybody who may push decides, or a fork. An address that is not the repository's own server must
be one of the internet's: what only this machine's network reaches is not for them to read.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from turnout.adapters.git_command import Address, GitFailed, address
from turnout.adapters.mirror import Mirror
from turnout.core.errors import PermanentError, TransientError

MOST = 200  # of one commit
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:]+):(?!//)(?P<path>.+)")
_FILE = ".gitmodules"


@dataclass(frozen=True, slots=True)
class Submodule:
    """``url``: as the commit says it. ``sha``: the commit of the submodule."""

    path: str
    sha: str
    url: str


@dataclass(frozen=True, slots=True)
class Server:
    """Where a repository is fetched from, and by which protocol."""

    scheme: str
    netloc: str

    @property
    def host(self) -> str:
        return urlsplit(f"//{self.netloc}").hostname or ""


def server_of(remote: Address) -> Server | None:
    """None: a folder of this machine."""
    if remote.folder is not None:
        return None
    if _scp(remote.url):
        return Server("ssh", remote.url.partition(":")[0])
    parts = urlsplit(remote.url)
    return Server(parts.scheme, parts.netloc)


def submodules(mirror: Mirror, sha: str) -> tuple[Submodule, ...]:
    """Those of the commit, by path. Raises: PermanentError where it doesn't say where one is."""
    listed = mirror.git.run(["ls-tree", "-r", "-z", "--full-tree", sha], at=mirror.path)
    links: dict[str, str] = {}
    for line in listed.split(b"\0"):
        kind, _, path = line.partition(b"\t")
        if kind.startswith(b"160000 commit "):
            links[path.decode("utf-8", "surrogateescape")] = kind.rpartition(b" ")[2].decode()
    if not links:
        return ()
    if len(links) > MOST:
        raise PermanentError(f"{mirror.remote} has {len(links)} submodules, at most {MOST} are checked out")
    urls = _urls(mirror, sha)
    if missing := sorted(set(links) - set(urls)):
        raise PermanentError(
            f"{_FILE} doesn't say where the submodule {missing[0]!a} of {mirror.remote} is",
            "add it there, or remove the submodule: git rm",
        )
    return tuple(Submodule(path, links[path], urls[path]) for path in sorted(links))


def _urls(mirror: Mirror, sha: str) -> dict[str, str]:
    """Path to address. Raises: PermanentError for a name that is a way out of a folder."""
    try:
        # Of a blob git reads no include; names are only what keeps a path and an address together.
        asked = ["config", "--no-includes", "--blob", f"{sha}:{_FILE}", "--null", "--list"]
        said = mirror.git.run(asked, at=mirror.path)
    except GitFailed:
        return {}
    found: dict[str, dict[str, str]] = {}
    for entry in said.decode("utf-8", "surrogateescape").split("\0"):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name, _, variable = rest.rpartition(".")
        if section == "submodule":
            found.setdefault(name, {})[variable] = value
    for name in found:
        if not name or ".." in re.split(r"[/\\]", name):
            raise PermanentError(
                f"{_FILE} of {mirror.remote} names a submodule {name!a}, which leads out of a folder"
            )
    return {each["path"]: each["url"] for each in found.values() if {"path", "url"} <= set(each)}


def fetched_from(url: str, parent: Address, home: Address, *, elsewhere: bool, ssh: bool) -> Address:
    """Where a submodule with this ``url`` is fetched from, without a credential. ``parent``: the repository that names
    it. ``home``: the one that is checked out. ``elsewhere``: other servers may be asked. ``ssh``: with the
    machine's key.

    Raises: PermanentError.
    """
    found = address(_absolute(url, parent), None)
    theirs, ours = server_of(found), server_of(home)
    if theirs is None or ours is None:
        raise _refused(url, "folders of the agents' machine are not", "give its https address")
    if found.credential is not None:
        raise _refused("***", "an address with a password in it is not", "remove the password")
    if theirs.scheme == "ssh" and ours.scheme in ("http", "https") and theirs.host == ours.host:
        # As the repository itself is: nobody's key is needed for what anybody may read.
        found = address(f"{ours.scheme}://{ours.netloc}/{_path(found.url)}")
        theirs = ours
    if theirs.scheme == "ssh" and not (theirs == ours and ssh):
        raise _refused(
            url, "with ssh only those on the repository's own server are, and none for a fork", "use https"
        )
    if theirs == ours:
        return found
    if theirs.scheme != "https":
        raise _refused(url, f"over {theirs.scheme} other servers are not asked", "use https")
    if not elsewhere:
        raise _refused(
            url,
            f"a fork's submodules come from {ours.netloc} only",
            "the project's `forks: {network: true}` lets forks reach other servers",
        )
    return found


def careful(remote: Address, home: Address) -> tuple[str, ...]:
    """git's options for fetching what a commit names: nobody sends us on, and the address is one of the internet's.

    Raises: PermanentError where it is not, TransientError where its name can't be looked up.
    """
    straight = ("-c", "http.followRedirects=false")
    if server_of(remote) == server_of(home):
        return straight
    parts = urlsplit(remote.url)
    host, port = parts.hostname or "", parts.port or 443
    if getproxies().get("https") and not proxy_bypass(host):
        return straight  # the proxy looks names up, and decides who is reached
    try:
        found = sorted({str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError) as error:
        raise TransientError(f"the server {host} of a submodule was not found: {error}") from error
    for each in found:
        if not _public(each):
            raise _refused(remote.url, f"{host} is {each}, no address of the internet", "")
    # git asks no second time, when the answer could be another.
    return (
        *straight,
        "-c",
        f"http.curloptResolve={host}:{port}:{','.join(_bracketed(each) for each in found)}",
    )


def _public(text: str) -> bool:
    found = ipaddress.ip_address(text.partition("%")[0])
    mapped = found.ipv4_mapped or found.sixtofour if isinstance(found, ipaddress.IPv6Address) else None
    found = mapped or found
    return found.is_global and not found.is_multicast


def _bracketed(text: str) -> str:
    return f"[{text}]" if ":" in text else text


def _absolute(url: str, parent: Address) -> str:
    """As git does it: each ``../`` takes the last step of the parent's address away."""
    if not url.startswith(("./", "../")):
        return url
    if parent.folder is not None:
        raise _refused(
            url, "the repository is a folder of this machine, so it leads to no server", "give its address"
        )
    if found := _scp(parent.url):
        before, path = parent.url[: found.start("path")], found["path"]
    else:
        parts = urlsplit(parent.url)
        before, path = f"{parts.scheme}://{parts.netloc}/", parts.path
    steps = [each for each in path.split("/") if each]
    rest = url
    while rest.startswith(("./", "../")):
        if rest.startswith("../"):
            if not steps:
                raise _refused(url, f"it leads out of {parent}", "")
            steps.pop()
        rest = rest.partition("/")[2]
    if ".." in rest.split("/"):
        raise _refused(url, f"it leads out of {parent}", "")
    return before + "/".join([*steps, rest])


def _scp(url: str) -> re.Match[str] | None:
    return None if "://" in url else _SCP.fullmatch(url)


def _path(url: str) -> str:
    found = _scp(url)
    return (found["path"] if found else urlsplit(url).path).lstrip("/")


def _refused(url: str, why: str, hint: str) -> PermanentError:
    return PermanentError(f"the submodule at {url!a} is not fetched: {why}", hint)
