"""A system call filter for tools, written in the kernel's own filter language.

A deny list (of socket families, an allow list): what no build or test needs and what kernel exploits start from. It is
the second fence; the first is that the tool has no capabilities, no further user namespaces, and sees nothing of the
machine.

Source: Documentation/userspace-api/seccomp_filter.rst, linux/filter.h, linux/seccomp.h, linux/audit.h;
numbers from asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = (
    0,
    4,
    16,
    24,
)  # offsets in struct seccomp_data, little endian
CLONE_NEWUSER = 0x10000000
X32 = 0x40000000

# Families of sockets that exist: unix, IPv4, IPv6, netlink. Others reach past the network namespace (vsock: the
# hypervisor), or lead into parts of the kernel that no build needs (the crypto interface, Bluetooth, …).
FAMILIES = (1, 2, 10, 16)
TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: what is typed into a terminal that others read

# The same number on every architecture since Linux 5.1.
NEWER: Mapping[str, int] = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "mount_setattr": 442,
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """``audit``: AUDIT_ARCH_*. ``clone3`` cannot be filtered by its flags, which are in memory: it does not exist,
    and the C library goes back to ``clone``."""

    audit: int
    denied: Mapping[str, int]
    clone: int
    socket: int
    ioctl: int
    clone3: int = 435
    has_x32: bool = False


ARCHITECTURES: Mapping[str, Architecture] = {
    "x86_64": Architecture(
        audit=0xC000003E,
        clone=56,
        socket=41,
        ioctl=16,
        has_x32=True,
        denied={
            "syslog": 103,
            "pivot_root": 155,
            "acct": 163,
            "settimeofday": 164,
            "mount": 165,
            "umount2": 166,
            "swapon": 167,
            "swapoff": 168,
            "reboot": 169,
            "iopl": 172,
            "ioperm": 173,
            "init_module": 175,
            "delete_module": 176,
            "quotactl": 179,
            "clock_settime": 227,
            "kexec_load": 246,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "open_by_handle_at": 304,
            "clock_adjtime": 305,
            "setns": 308,
            "finit_module": 313,
            "kexec_file_load": 320,
            "bpf": 321,
            "userfaultfd": 323,
            **NEWER,
        },
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        clone=220,
        socket=198,
        ioctl=29,
        denied={
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "quotactl": 60,
            "acct": 89,
            "unshare": 97,
            "kexec_load": 104,
            "init_module": 105,
            "delete_module": 106,
            "clock_settime": 112,
            "syslog": 116,
            "reboot": 142,
            "settimeofday": 170,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "swapon": 224,
            "swapoff": 225,
            "perf_event_open": 241,
            "open_by_handle_at": 265,
            "clock_adjtime": 266,
            "setns": 268,
            "finit_module": 273,
            "bpf": 280,
            "userfaultfd": 282,
            "kexec_file_load": 294,
            **NEWER,
        },
    ),
}


@cache
def filter_for(machine: str) -> bytes | None:
    """The compiled filter (an array of struct sock_filter), or None for an architecture that has no list here.

    Calls of another architecture (32-bit programs, x32) do not exist at all: their numbers mean other things.
    """
    architecture = ARCHITECTURES.get(machine)
    if architecture is None:
        return None
    missing, refused = ERRNO | errno.ENOSYS, ERRNO | errno.EPERM
    program = [
        _load(ARCHITECTURE),
        _jump(EQUAL, architecture.audit, no=0, yes=1),
        _return(missing),
        _load(NUMBER),
    ]
    if architecture.has_x32:
        program += _when(AT_LEAST, X32, missing)
    program += _when(EQUAL, architecture.clone3, missing)
    for number in sorted(architecture.denied.values()):
        program += _when(EQUAL, number, refused)
    program += _call(architecture.clone, FIRST_ARGUMENT, _when(ANY_BIT, CLONE_NEWUSER, refused))
    program += _call(
        architecture.ioctl, SECOND_ARGUMENT, [each for what in TYPING for each in _when(EQUAL, what, refused)]
    )
    program += _call(
        architecture.socket,
        FIRST_ARGUMENT,
        [each for family in FAMILIES for each in _when(EQUAL, family, ALLOW)]
        + [_return(ERRNO | errno.EAFNOSUPPORT)],
    )
    program.append(_return(ALLOW))
    return b"".join(program)


def _call(number: int, argument: int, rules: list[bytes]) -> list[bytes]:
    """Rules for an argument (its low 32 bits) of one call; what they let pass, is allowed."""
    body = [_load(argument), *rules, _return(ALLOW)]
    return [_jump(EQUAL, number, yes=0, no=len(body)), *body]


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", LOAD, 0, 0, offset)


def _jump(test: int, value: int, *, yes: int, no: int) -> bytes:
    """``yes`` and ``no``: how many instructions to skip."""
    return struct.pack("=HBBI", test, yes, no, value)


def _return(verdict: int) -> bytes:
    return struct.pack("=HBBI", RETURN, 0, 0, verdict)


def _when(test: int, value: int, verdict: int) -> list[bytes]:
    return [_jump(test, value, yes=0, no=1), _return(verdict)]
