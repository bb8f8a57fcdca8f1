"""The same hostile tools (test_sandbox_real.py) where things are otherwise: as an ordinary user, and with cgroup v2."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import REQUIRED, require
from turnout.runtimes.keepers import LIBRARY

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

SUITE = "tests/runtimes/test_sandbox_real.py"
SOMEBODY = 61999
AS_SOMEBODY = f"setpriv --reuid={SOMEBODY} --regid={SOMEBODY} --clear-groups"
LIMITED = "fork_bomb or multiplying or out_of_memory or get_around or goes_on or nothing_is_left"
PATIENCE = 600.0  # seconds, on a busy machine

# Folders that only root can reach, like a Python below /root, are shown to others in this mount namespace alone.
SHOW = """
show() {
    top=/$(printf %s "$1" | cut -d/ -f2)
    [ "$(stat -c %a "$top" | tail -c 2)" -ge 5 ] && return
    mkdir -p "$AT/shown"; mount -t tmpfs shown "$AT/shown"
    mount --bind "$1" "$AT/shown"
    mount -t tmpfs -o mode=755 top "$top"
    mkdir -p "$1"; mount --move "$AT/shown" "$1"
}
"""


def suite(temporary: str, user: str = "", choose: str = "") -> str:
    """The shell command that runs the tests. ``user``: a prefix that starts a command as somebody else."""
    words = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-q",
        "--color=no",
        "-p",
        "no:cacheprovider",
        "-k",
        choose,
        SUITE,
    ]
    return (
        f"cd {shlex.quote(str(LIBRARY))} && {user} env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 {REQUIRED}=1 "
        f"HOME={temporary} TMPDIR={temporary} {shlex.join(words)} --basetemp={temporary}/pytest"
    )


def passed(output: str) -> list[int]:
    """How many tests passed, for each time the suite ran; fails the test when another came out."""
    assert not re.search(r"\d+ (failed|error|skipped)", output), output
    return [int(number) for number in re.findall(r"(\d+) passed", output)]


@pytest.fixture(autouse=True)
def parts() -> None:
    require("the right to mount and to change users", os.geteuid() == 0, "run the tests as root")
    require("bubblewrap", shutil.which("bwrap") is not None, "apt-get install bubblewrap")


@pytest.fixture
def anywhere() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def show_python() -> str:
    return f"show {shlex.quote(str(Path(sys.base_prefix).resolve()))}"


def test_an_ordinary_users_sandbox_holds_as_well(anywhere: Path) -> None:
    """Where no cgroup is writable and nobody may mount, so that what needs that is left out."""
    (anywhere / "home").mkdir()
    os.chown(anywhere / "home", SOMEBODY, SOMEBODY)
    script = (
        f"set -e; mount --make-rprivate /; AT={anywhere}; {SHOW}\n{show_python()}\n"
        f"{suite(f'{anywhere}/home', AS_SOMEBODY, f'not ({LIMITED} or let_go_of)')}"
    )
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert passed(ran.stdout)[0] > 30


# Each gets a group as systemd makes one for a service that says Delegate=yes: marked, with its first process in it.
BOOT = """#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tmpfs -o mode=755 run /run; mount -t tmpfs -o mode=755 {mnt} {mnt}
mkdir /dev/shm; mount -t tmpfs -o mode=1777 shm /dev/shm
AT={mnt}; {SHOW}
{show_python}
mkdir -m 1777 {mnt}/root {mnt}/somebody
echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control
for user in root somebody; do
    mkdir /sys/fs/cgroup/$user
    {python} -I -S -c 'import os, sys; os.setxattr(sys.argv[1], "user.delegate", b"1")' /sys/fs/cgroup/$user
done
chown {somebody} /sys/fs/cgroup/somebody /sys/fs/cgroup/somebody/cgroup.*
(echo 0 > /sys/fs/cgroup/root/cgroup.procs; {as_root})
(echo 0 > /sys/fs/cgroup/somebody/cgroup.procs; {as_somebody})
echo o > /proc/sysrq-trigger
sleep 60
"""


def test_version_2_limits_and_ends_tools_as_well(anywhere: Path) -> None:
    """On a kernel of its own, as root and as a user to whom a group was delegated: User Mode Linux, on our files."""
    if os.uname().machine != "x86_64":
        pytest.skip("User Mode Linux is for x86 alone")
    kernel = shutil.which("linux.uml") or shutil.which("linux")
    require("User Mode Linux", kernel is not None, "apt-get install user-mode-linux")
    assert kernel is not None
    mnt, chosen = "/mnt", f"{LIMITED} or daemon or nobody_special"
    init = anywhere / "init"
    init.write_text(
        BOOT.format(
            mnt=mnt,
            python=sys.executable,
            SHOW=SHOW,
            show_python=show_python(),
            somebody=SOMEBODY,
            as_root=suite(f"{mnt}/root", "", chosen),
            as_somebody=suite(
                f"{mnt}/somebody", AS_SOMEBODY, "fork_bomb or out_of_memory or nothing_is_left"
            ),
        )
    )
    init.chmod(0o755)
    ran = subprocess.run(
        [kernel, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "mem=1G", f"init={init}", "quiet",
         "con=null", "con0=fd:0,fd:1", f"uml_dir={anywhere}", "umid=turnout"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False, timeout=PATIENCE,
    )  # fmt: skip
    counts = passed(ran.stdout)
    assert counts == [9, 3], ran.stdout
