"""Control groups: where they are, what is written to them, and that they end what is in them."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import require
from tests.runtimes.watching import living, unique_seconds
from tests.waiting import wait_until
from turnout.core.errors import PermanentError, TransientError
from turnout.runtimes import cgroups
from turnout.runtimes.cgroups import Cgroup, Cgroups, Limits, discover, own_folders, settings

V1 = """\
30 25 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
33 25 0:29 / /tmp rw,relatime - tmpfs tmpfs rw
"""
V1_OWN = "4:memory:/system.slice/ci\n3:cpu,cpuacct:/\n0::/init.scope\n"


def test_own_folders_of_version_1_are_found_by_controller() -> None:
    assert own_folders(V1, V1_OWN) == {
        "memory": Path("/sys/fs/cgroup/memory/system.slice/ci"),
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct"),
        "": Path("/sys/fs/cgroup/unified/init.scope"),
    }


def test_in_a_container_only_the_part_below_the_mounted_group_counts() -> None:
    mounts = "30 25 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert own_folders(mounts, "4:memory:/docker/abc\n") == {"memory": Path("/sys/fs/cgroup/memory")}
    assert own_folders(mounts, "4:memory:/docker/abc/x\n") == {"memory": Path("/sys/fs/cgroup/memory/x")}


def test_a_group_outside_of_what_is_mounted_cannot_be_used() -> None:
    mounts = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert own_folders(mounts, "0::/../other\n") == {}


def test_limits_are_written_in_each_versions_words() -> None:
    limits = Limits(memory_bytes=1000, cpus=1.5, pids=10)
    assert settings(2, limits) == [
        ("memory", "memory.max", "1000"),
        ("memory", "?memory.swap.max", "0"),
        ("pids", "pids.max", "13"),
        ("cpu", "cpu.max", "150000 100000"),
    ]
    assert [(file, value) for _, file, value in settings(1, limits)] == [
        ("memory.limit_in_bytes", "1000"),
        ("?memory.memsw.limit_in_bytes", "1000"),
        ("pids.max", "13"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "150000"),
    ]
    assert settings(1, Limits()) == []


def test_a_group_that_cannot_be_limited_is_not_left_behind(tmp_path: Path) -> None:
    """A plain folder has no pids.max."""
    groups = Cgroups(2, {"pids": tmp_path})
    with pytest.raises(TransientError, match=r"pids\.max"):
        groups.create(Limits(pids=1))
    assert list(tmp_path.iterdir()) == []


def test_a_group_left_by_a_killed_process_that_had_our_id_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_serial", itertools.count(1))
    left = tmp_path / f"turnout-{os.getpid()}-1"
    left.mkdir()
    (left / "in use").touch()
    (made,) = Cgroups(2, {"pids": tmp_path}).create(Limits()).paths
    assert Path(made) == tmp_path / f"turnout-{os.getpid()}-2"
    assert left.is_dir()


def test_groups_of_ended_processes_are_swept_and_others_are_kept(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in (f"turnout-{ended.pid}-1", f"turnout-{os.getpid()}-1", "turnout-main", "other"):
        (tmp_path / name).mkdir()
    Cgroups(2, {"pids": tmp_path, "memory": tmp_path}).sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"turnout-{os.getpid()}-1", "turnout-main", "other"]
    )


def test_the_description_names_what_is_missing() -> None:
    assert Cgroups(1, {"pids": Path("/p")}).describe() == (
        "pids limits by cgroup v1 (no memory and cpu controller here)"
    )


def test_a_system_without_cgroups_has_none(tmp_path: Path) -> None:
    assert discover(proc=tmp_path) == (None, "there are no cgroups on this system")
    assert discover("none") == (None, "cgroups are switched off")


def test_a_cgroup_that_we_were_given_and_cannot_use_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=str(tmp_path)):
        discover(str(tmp_path))


def test_version_2_hands_controllers_on_from_the_group_above(tmp_path: Path) -> None:
    """Our own group holds processes, so it cannot; the one above does already. Folders stand in for groups."""
    own = tmp_path / "user.slice" / "app.scope"
    own.mkdir(parents=True)
    for folder, handed_on in ((own, ""), (own.parent, "memory pids")):
        (folder / "cgroup.procs").touch()
        (folder / "cgroup.controllers").write_text("memory pids")
        (folder / "cgroup.subtree_control").write_text(handed_on)
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(f"30 25 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (proc / "cgroup").write_text("0::/user.slice/app.scope\n")
    found, _ = discover(proc=proc)
    assert found == Cgroups(2, {"memory": own.parent, "pids": own.parent})


@pytest.fixture
def groups() -> Cgroups:
    found, why = discover()
    require(
        "a writable cgroup", found is not None, f"run the tests as root, or in a delegated cgroup ({why})"
    )
    assert found is not None
    return found


@pytest.fixture
def group(groups: Cgroups) -> Iterator[Cgroup]:
    made = groups.create(Limits(pids=50, memory_bytes=1 << 28, cpus=0.5))
    yield made
    made.kill(within=5)
    made.remove()


def join(group: Cgroup, script: str) -> subprocess.Popen[bytes]:
    """A shell that moves itself into the group, then does as the script says."""
    into = "".join(f"echo 0 > {path}/cgroup.procs; " for path in group.paths)
    return subprocess.Popen(["sh", "-c", into + script])


@pytest.mark.real
def test_everything_in_a_group_is_killed_and_the_group_removed(group: Cgroup) -> None:
    seconds = unique_seconds()
    with join(group, f"setsid sleep {seconds} & sleep {seconds} & sleep {seconds}") as shell:
        wait_until(lambda: len(living(seconds)) == 3)
        assert group.kill(within=10) == set()
        assert shell.wait(10) in (-9, 128 + 9)  # the shell's own end, or what it says of its last child's
    assert living(seconds) == []
    assert group.remove()
    assert not any(Path(path).exists() for path in group.paths)


@pytest.mark.real
def test_a_group_in_use_is_not_removed(group: Cgroup) -> None:
    with join(group, "sleep 60") as shell:
        wait_until(lambda: all(Path(path, "cgroup.procs").read_text() for path in group.paths))
        assert not group.remove(within=0.0)
        group.kill(within=10)
        shell.wait(10)


@pytest.mark.real
def test_groups_that_a_tool_has_made_below_its_own_go_with_it(group: Cgroup) -> None:
    for path in group.paths:
        Path(path, "made", "below").mkdir(parents=True)
    assert group.remove(within=0.0)
    assert not any(Path(path).exists() for path in group.paths)


@pytest.mark.real
def test_the_limits_are_in_force(group: Cgroup) -> None:
    assert (group.folders["pids"] / "pids.max").read_text() == "53\n"
    name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
    assert (group.folders["memory"] / name).read_text() == f"{1 << 28}\n"
    assert group.oom_kills() == 0


@pytest.mark.real
def test_version_2_kills_with_its_one_file(tmp_path: Path) -> None:
    """Beside version 1 a machine often mounts version 2 without controllers; it can end groups all the same."""
    mounted = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
    root = next((path for path in mounted if (path / "cgroup.controllers").exists()), None)
    require(
        "a writable cgroup v2",
        root is not None and os.access(root, os.W_OK),
        "run the tests as root on Linux 5.14",
    )
    assert root is not None
    folder = root / f"turnout-{os.getpid()}-9999"
    folder.mkdir()
    group = Cgroup(2, {"pids": folder})
    seconds = unique_seconds()
    with join(group, f"setsid sleep {seconds} & sleep {seconds}") as shell:
        wait_until(lambda: len(living(seconds)) == 2)
        assert (folder / "cgroup.kill").exists()
        assert group.kill(within=10) == set()
        shell.wait(10)
    assert living(seconds) == []
    assert group.remove()
