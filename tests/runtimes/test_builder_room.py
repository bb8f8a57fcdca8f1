"""The room of a builder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.real import require
from turnout.runtimes.builder_room import BuilderRoom, sweep_groups
from turnout.runtimes.sandbox import Bubblewrap, Mount, SandboxSpec, detect, start
from turnout.runtimes.sandbox_host import look

WORD = "of-nobody-else"


def room(folder: Path) -> BuilderRoom:
    return BuilderRoom(look("/usr/bin/bwrap", (0, 8), 65520, folder), None, {"/run/secret": WORD})


def test_what_is_secret_is_in_no_option_and_in_no_environment(tmp_path: Path) -> None:
    made = room(tmp_path).wrap(["builder"], SandboxSpec(tmp_path, network=True, env={"A": "b"}))
    assert WORD not in str(made.argv) + str(made.options) + str(made.env)
    assert WORD.encode() in made.data.values()
    assert WORD not in repr(room(tmp_path))


def test_the_checkout_cannot_be_written_and_mounts_are_where_they_are_wanted(tmp_path: Path) -> None:
    mount = Mount(tmp_path / "kept", "/storage", writable=True)
    options = list(room(tmp_path).wrap(["builder"], SandboxSpec(tmp_path, mounts=(mount,))).options)
    at = options.index("/storage")
    assert options[at - 2 : at + 1] == ["--bind", str(tmp_path / "kept"), "/storage"]
    assert options[options.index(str(tmp_path)) - 1] == "--ro-bind"
    assert "--unshare-net" in options


def test_empty_groups_of_containers_are_swept(tmp_path: Path) -> None:
    """A made-up hierarchy: a folder in it is empty where no file is."""
    proc = tmp_path / "proc"
    groups = tmp_path / "cgroup"
    (proc).mkdir()
    (groups / "own" / "buildah-buildah1" / "below").mkdir(parents=True)
    (groups / "buildah-buildah2").mkdir()
    (groups / "own" / "other").mkdir()
    (proc / "mountinfo").write_text(f"30 20 0:26 / {groups} rw - cgroup cgroup rw,memory\n")
    (proc / "cgroup").write_text("9:memory:/own\n")
    sweep_groups("buildah-buildah", proc)
    assert sorted(path.name for path in groups.rglob("*")) == ["other", "own"]


@pytest.mark.real
def test_the_files_of_the_machine_are_not_there_and_the_builder_is_root(tmp_path: Path) -> None:
    require("the right to make a room", os.geteuid() == 0, "run the tests as root")
    require("bubblewrap", shutil.which("bwrap") is not None, "apt-get install bubblewrap")
    held_in = detect(environ={"TURNOUT_SANDBOX": "auto"})
    assert isinstance(held_in, Bubblewrap)
    outside = tmp_path / "outside"
    outside.write_text("x")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "kept").mkdir()
    look_around = (
        f"id -u; cat /run/secret; stat -c ' %a' /run/secret; test ! -e {outside}; test ! -e /etc/shadow;"
        " test ! -e /home; touch /storage/x; ! touch x;"
        " mkdir /tmp/m; mount -t tmpfs t /tmp/m; ls /proc | grep -c '^[0-9]'"
    )
    made = BuilderRoom(held_in.host, held_in.cgroups, {"/run/secret": WORD})
    spec = SandboxSpec(
        tmp_path / "checkout", network=True, mounts=(Mount(tmp_path / "kept", "/storage", writable=True),)
    )
    said = tmp_path / "said"
    with (
        said.open("wb") as file,
        start(["sh", "-ec", look_around], spec, made, stdout=file, stderr=file) as tool,
    ):
        ended = tool.wait(30)
    words = said.read_text()
    assert ended.code == 0, words
    assert words.startswith(f"0\n{WORD} 600\n")
    assert int(words.split()[-1]) <= 6
    assert (tmp_path / "kept" / "x").exists()
