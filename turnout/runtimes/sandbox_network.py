"""A network of the tool's own: it reaches out to what this machine reaches, but not this machine itself.

slirp4netns stands between: a process that speaks for the tool's network namespace with ordinary sockets of this
machine, so nobody has to be root. Names are resolved by it, at `NAMES`. Routes that the tool cannot change refuse
what it would reach for us: this machine's own addresses, and link-local ones, where clouds give out credentials.
This machine's loopback, its abstract sockets and IPv6 do not exist there at all.

Imports next to nothing, because the supervisor of a tool uses it.
Source: slirp4netns(1), ioctl_ns(2), rtnetlink(7), RFC 2544 (the range that nobody routes).
"""

from __future__ import annotations

import os
import select

from turnout.runtimes.sandbox_child import call, prctl
from turnout.runtimes.sandbox_reap import SIGKILL

TYPE_CHECKING = False  # importing typing would import re
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NETWORK = "198.18.255.0/24"
NAMES = "198.18.255.3"
LINK_LOCAL = ("169.254.0.0", 16)
WITHIN = 10.0  # seconds to set it up

NS_GET_USERNS = 0xB701
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1
NETLINK_ROUTE, RTM_NEWROUTE, NLMSG_ERROR = 0, 24, 2
REQUEST_CREATE_REPLACE_ACK = 0x1 | 0x400 | 0x100 | 0x4
AF_INET, RT_TABLE_MAIN, RTPROT_STATIC, RTN_PROHIBIT, RTA_DST = 2, 254, 4, 8, 1


def resolver(own: str) -> str:
    """The tool's ``resolv.conf``, from this machine's: other servers, the same habits."""
    kept = [line for line in own.splitlines() if line.split()[:1] in (["search"], ["options"], ["domain"])]
    return "\n".join([f"nameserver {NAMES}", *kept]) + "\n"


def own_addresses(table: str) -> list[str]:
    """This machine's IPv4 addresses, loopback left out, from ``/proc/net/fib_trie``."""
    found: dict[str, None] = {}
    last = ""
    for line in table.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "|--":
            last = words[1]
        elif words == ["/32", "host", "LOCAL"] and not last.startswith("127."):
            found[last] = None
    return list(found)


def connect(program: str, child: int, groups: Iterable[str]) -> str:
    """Give the network namespace of process ``child`` a way out, through ``program``; why it could not be, or "".

    ``groups``: the tool's control group, which what works for it counts against.
    """
    try:
        inside = os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""  # it has ended: there are better words for why
    owner = -1
    try:
        owner = _owner(inside)
        with open("/proc/net/fib_trie") as file:
            refused = [LINK_LOCAL, *((address, 32) for address in own_addresses(file.read()))]
        return _forked(lambda: _refuse(inside, owner, refused)) or _start(program, inside, owner, groups)
    except OSError as problem:
        return f"its network could not be made: {problem}"
    finally:
        os.close(inside)
        if owner >= 0:
            os.close(owner)


def _owner(namespace: int) -> int:
    """The user namespace that a network namespace belongs to: bubblewrap's outer one."""
    import fcntl

    owner = fcntl.ioctl(namespace, NS_GET_USERNS)
    os.set_inheritable(owner, False)
    return owner


def _ours(owner: int) -> bool:
    """Whether it is the user namespace that we are in, which nobody may enter again."""
    own, other = os.stat("/proc/self/ns/user"), os.fstat(owner)
    return (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino)


def _forked(work: Callable[[], None]) -> str:
    """Do it in a process that can change its namespaces for good; what went wrong, or ""."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except Exception as problem:
            os.write(write, f"its network could not be made: {problem}".encode("utf-8", "replace"))
        os._exit(0)
    os.close(write)
    said = b""
    while part := os.read(read, 4096):
        said += part
    os.close(read)
    os.waitpid(pid, 0)
    return said.decode("utf-8", "replace")


def _refuse(inside: int, owner: int, places: Iterable[tuple[str, int]]) -> None:
    import socket

    if not _ours(owner):
        call("setns", owner, CLONE_NEWUSER)
    call("setns", inside, CLONE_NEWNET)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as kernel:
        for address, length in places:
            kernel.send(_prohibited(socket.inet_aton(address), length))
            answer = kernel.recv(4096)
            number = int.from_bytes(answer[16:20], "little", signed=True)
            if int.from_bytes(answer[4:6], "little") != NLMSG_ERROR or number != 0:
                raise OSError(-number, f"no route can be set: {os.strerror(-number)}")


def _prohibited(address: bytes, length: int) -> bytes:
    """struct nlmsghdr, struct rtmsg, and the destination as its one attribute."""
    route = bytes([AF_INET, length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, RTN_PROHIBIT]) + bytes(4)
    attribute = (8).to_bytes(2, "little") + RTA_DST.to_bytes(2, "little") + address
    body = route + attribute
    head = (16 + len(body)).to_bytes(4, "little") + RTM_NEWROUTE.to_bytes(2, "little")
    return head + REQUEST_CREATE_REPLACE_ACK.to_bytes(2, "little") + bytes(8) + body


def _start(program: str, inside: int, owner: int, groups: Iterable[str]) -> str:
    ready, tell = os.pipe()
    said = os.memfd_create("turnout")
    argv = [
        program, "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp",
        f"--cidr={NETWORK}", "--ready-fd", str(tell), "--netns-type=path",
        *(("--userns-path", f"/proc/self/fd/{owner}") if os.geteuid() == 0 and not _ours(owner) else ()),
        f"/proc/self/fd/{inside}", "tap0",
    ]  # fmt: skip
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for folder in groups:
                with open(f"{folder}/cgroup.procs", "w") as file:
                    file.write("0")
            if (
                os.geteuid() != 0
            ):  # it can fence itself in only as the root of a namespace, as which we make it start
                call("setns", owner, CLONE_NEWUSER)
                os.setresgid(0, 0, 0)
                os.setresuid(0, 0, 0)
            prctl(PR_SET_PDEATHSIG, SIGKILL)
            os.dup2(said, 2)
            for descriptor in (tell, owner, inside):
                os.set_inheritable(descriptor, True)
            os.execve(program, argv, {})  # noqa: S606 - a shell would read its words
        except OSError as problem:
            os.write(said, f"{program}: {problem}".encode("utf-8", "replace"))
        os._exit(127)
    os.close(tell)
    try:
        waiting = select.poll()
        waiting.register(ready, select.POLLIN)
        if waiting.poll(WITHIN * 1000) and os.read(ready, 1):
            return ""
        os.kill(pid, SIGKILL)
        os.lseek(said, 0, os.SEEK_SET)
        reason = os.read(said, 4096).decode("utf-8", "replace").strip() or f"nothing within {WITHIN:g} s"
        return f"its network could not be made: {reason}"
    finally:
        os.close(ready)
        os.close(said)
