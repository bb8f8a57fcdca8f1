"""The system call filter, evaluated as the kernel does."""

from __future__ import annotations

import errno
import struct

import pytest

from turnout.runtimes.sandbox_seccomp import ALLOW, ARCHITECTURES, ERRNO, filter_for

AF_UNIX = 1
REFUSED, MISSING = ERRNO | errno.EPERM, ERRNO | errno.ENOSYS
X86, ARM, I386 = ARCHITECTURES["x86_64"].audit, ARCHITECTURES["aarch64"].audit, 0x40000003
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def verdict(machine: str, architecture: int, number: int, argument: int = 0, second: int = 0) -> int:
    """Run the program over one struct seccomp_data."""
    program = filter_for(machine)
    assert program is not None
    seen = struct.pack("<IIQ6Q", number, architecture, 0, argument, second, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("=HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == LOAD:
            accumulator = struct.unpack_from("<I", seen, value)[0]
        elif code == RETURN:
            return int(value)
        else:
            holds = {
                EQUAL: accumulator == value,
                AT_LEAST: accumulator >= value,
                ANY_BIT: bool(accumulator & value),
            }[code]
            at += yes if holds else no


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", X86), ("aarch64", ARM)])
def test_what_is_on_the_list_is_refused_and_its_neighbours_are_not(machine: str, architecture: int) -> None:
    denied = set(ARCHITECTURES[machine].denied.values())
    special = {ARCHITECTURES[machine].clone3}
    for number in range(600):
        expected = REFUSED if number in denied else MISSING if number in special else ALLOW
        assert verdict(machine, architecture, number, AF_UNIX) == expected, number


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", X86), ("aarch64", ARM)])
def test_processes_and_threads_are_allowed_but_no_user_namespace(machine: str, architecture: int) -> None:
    clone = ARCHITECTURES[machine].clone
    thread, user_namespace = 0x3D0F00, 0x10000000
    assert verdict(machine, architecture, clone, thread) == ALLOW
    assert verdict(machine, architecture, clone, user_namespace | 17) == REFUSED


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", X86), ("aarch64", ARM)])
def test_sockets_are_of_the_everyday_families_only(machine: str, architecture: int) -> None:
    number = ARCHITECTURES[machine].socket
    unix, inet, inet6, netlink = 1, 2, 10, 16
    families = {family for family in range(64) if verdict(machine, architecture, number, family) == ALLOW}
    assert families == {unix, inet, inet6, netlink}
    assert verdict(machine, architecture, number, 40) == ERRNO | errno.EAFNOSUPPORT


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", X86), ("aarch64", ARM)])
def test_nothing_can_be_typed_into_a_terminal(machine: str, architecture: int) -> None:
    number, tiocsti, tioclinux, tcgets = ARCHITECTURES[machine].ioctl, 0x5412, 0x541C, 0x5401
    assert [verdict(machine, architecture, number, 0, each) for each in (tiocsti, tioclinux, tcgets)] == [
        REFUSED,
        REFUSED,
        ALLOW,
    ]


def test_other_architectures_calls_do_not_exist() -> None:
    getpid_of_i386 = 20
    assert verdict("x86_64", I386, getpid_of_i386) == MISSING
    assert verdict("x86_64", X86, 0x40000000 | 39) == MISSING


def test_an_unknown_machine_has_no_filter() -> None:
    assert filter_for("riscv64") is None
