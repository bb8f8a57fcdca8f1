"""bubblewrap's sandbox as data: what is asked of it. That it holds is shown in test_sandbox_real.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from turnout.runtimes.cgroups import Cgroups
from turnout.runtimes.sandbox import Bubblewrap, InvalidSpec, Limits, Mount, SandboxSpec, Wrapped
from turnout.runtimes.sandbox_host import Host, look

ORDINARY = Host(
    bwrap="/usr/bin/bwrap",
    version=(0, 8, 0),
    user=1000,
    group=1000,
    drops=False,
    machine="x86_64",
    system=(("usr", None), ("bin", "usr/bin")),
    etc=("ssl",),
    etc_network=("hosts", "resolv.conf"),
    prefix=None,
    prlimit="/usr/bin/prlimit",
)
ROOT = replace(ORDINARY, user=65520, group=65520, drops=True)
GROUPS = Cgroups(2, {"memory": Path("/cg"), "pids": Path("/cg"), "cpu": Path("/cg")})


def wrap(spec: SandboxSpec, host: Host = ORDINARY, cgroups: Cgroups | None = GROUPS) -> Wrapped:
    return Bubblewrap(host, cgroups).wrap(["tool", "--flag"], spec)


def places(wrapped: Wrapped, options: Sequence[str] = ("--bind", "--ro-bind")) -> dict[str, tuple[str, str]]:
    """Target → (option, source)."""
    words = wrapped.options
    return {words[at + 2]: (word, words[at + 1]) for at, word in enumerate(words[:-2]) if word in options}


def test_the_command_line_holds_the_tool_and_nothing_that_may_be_secret(tmp_path: Path) -> None:
    wrapped = wrap(SandboxSpec(tmp_path, env={"PYPI_TOKEN": "pypi-secret"}))
    assert wrapped.argv == ("/usr/bin/bwrap", "--args", "8", "--", "/usr/bin/env", "--", "tool", "--flag")
    assert wrapped.env == {}
    assert "pypi-secret" in wrapped.options


def test_only_the_workspace_is_writable(tmp_path: Path) -> None:
    assert [at for at, (option, _) in places(wrap(SandboxSpec(tmp_path))).items() if option == "--bind"] == [
        str(tmp_path)
    ]


def test_the_workspace_is_at_its_own_path_even_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    wrapped = wrap(SandboxSpec(tmp_path / "link"))
    assert places(wrapped)[str(tmp_path / "real")] == ("--bind", str(tmp_path / "real"))
    assert wrapped.options[wrapped.options.index("--chdir") + 1] == str(tmp_path / "real")


def test_there_is_a_network_only_when_asked_for(tmp_path: Path) -> None:
    without, with_ = wrap(SandboxSpec(tmp_path)), wrap(SandboxSpec(tmp_path, network=True))
    assert "--unshare-net" in without.options
    assert "/etc/resolv.conf" not in places(without)
    assert "--unshare-net" not in with_.options
    assert "/etc/resolv.conf" in places(with_)


def test_a_network_of_the_tools_own_has_its_own_names_and_starts_before_the_tool(tmp_path: Path) -> None:
    private = Bubblewrap(ORDINARY, GROUPS, network="/usr/bin/slirp4netns")
    wrapped = private.wrap(["tool"], SandboxSpec(tmp_path, network=True))
    assert wrapped.network == "/usr/bin/slirp4netns"
    assert {"--unshare-net", "--block-fd"} <= {*wrapped.options}
    assert "/etc/resolv.conf" not in places(wrapped)
    assert "/etc/hosts" in places(wrapped)
    assert any(content.startswith(b"nameserver 198.18.255.3\n") for content in wrapped.data.values())
    without = private.wrap(["tool"], SandboxSpec(tmp_path))
    assert (without.network, "--block-fd" in without.options) == ("", False)


def test_names_of_accounts_and_hosts_are_made_up(tmp_path: Path) -> None:
    wrapped = wrap(SandboxSpec(tmp_path))
    texts = [content.decode("latin-1") for content in wrapped.data.values()]
    assert any("turnout:x:1000:1000:turnout:/tmp/home:" in text for text in texts)
    assert "/etc/passwd" not in places(wrapped)


def test_root_becomes_another_user_who_is_given_the_workspace(tmp_path: Path) -> None:
    wrapped = wrap(SandboxSpec(tmp_path), ROOT)
    assert wrapped.owner == 65520
    assert wrapped.claimed == (tmp_path,)
    assert wrap(SandboxSpec(tmp_path), ORDINARY).owner is None


def test_root_shows_folders_in_passing_that_the_other_user_cannot_reach(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    workspace = tmp_path / "workspace"
    cache.mkdir()
    workspace.mkdir()
    wrapped = wrap(SandboxSpec(workspace, mounts=(Mount(cache, writable=True),)), ROOT)
    assert dict(wrapped.staged) == {workspace: "/tmp/0", cache: "/tmp/1"}
    assert places(wrapped)[str(cache)] == ("--bind", "/tmp/1")
    assert wrapped.claimed_tops == (cache,)


def test_an_inner_place_is_mounted_after_its_outer_one(tmp_path: Path) -> None:
    inner = tmp_path / "node_modules"
    inner.mkdir()
    (tmp_path / "cache").mkdir()
    spec = SandboxSpec(
        tmp_path, mounts=(Mount(tmp_path / "cache", str(inner)), Mount(Path("/usr/lib"), "/x"))
    )
    order = list(places(wrap(spec)))
    assert order.index(str(tmp_path)) < order.index(str(inner))
    assert order.index("/x") < order.index(str(tmp_path))


def test_what_is_hidden_is_covered_although_the_workspace_holds_it(tmp_path: Path) -> None:
    home, key = tmp_path / ".turnout", tmp_path / "key"
    home.mkdir()
    key.write_text("secret")
    wrapped = wrap(SandboxSpec(tmp_path, hide=(home, key, tmp_path / "missing", Path("/elsewhere"))))
    words = wrapped.options
    assert words[words.index(str(home)) - 1] == "--tmpfs"
    assert places(wrapped)[str(key)] == ("--ro-bind", "/dev/null")
    assert str(tmp_path / "missing") not in words
    assert "/elsewhere" not in words
    assert words.index(str(home)) > words.index(str(tmp_path))


def test_a_workspace_inside_a_hidden_folder_stays_visible(tmp_path: Path) -> None:
    home = tmp_path / "turnout"
    workspace = home / "workspaces" / "1"
    workspace.mkdir(parents=True)
    words = wrap(SandboxSpec(workspace, mounts=(Mount(tmp_path),), hide=(home,))).options
    assert words.index(str(tmp_path)) < words.index(str(home)) < words.index(str(workspace))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SandboxSpec(Path("/no/such/folder")), "is not a folder"),
        (SandboxSpec(Path("/")), "is not a folder that a tool can be given"),
        (SandboxSpec(Path("/usr"), cwd=".."), "outside the workspace"),
        (SandboxSpec(Path("/usr"), cwd="no-such"), "does not exist"),
        (SandboxSpec(Path("/usr"), mounts=(Mount(Path("/no/such")),)), "does not exist"),
        (SandboxSpec(Path("/usr"), mounts=(Mount(Path("/srv"), "relative"),)), "absolute path"),
        (SandboxSpec(Path("/usr"), mounts=(Mount(Path("/srv"), "/a/../b"),)), "absolute path"),
        (SandboxSpec(Path("/usr"), mounts=(Mount(Path("/srv"), "/"),)), "absolute path"),
        (SandboxSpec(Path("/usr"), env={"A=B": "1"}), "environment variable"),
        (SandboxSpec(Path("/usr"), env={"A": "1\x00--bind"}), "environment variable"),
    ],
)
def test_what_cannot_be_is_refused(spec: SandboxSpec, message: str) -> None:
    with pytest.raises(InvalidSpec, match=message):
        wrap(spec)


def test_a_link_out_of_the_workspace_is_no_working_directory(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/usr")
    with pytest.raises(InvalidSpec, match="outside the workspace"):
        wrap(SandboxSpec(tmp_path, cwd="out"))


@pytest.mark.parametrize("argv", [[], [""], ["a\0b"], ["A=B"]])
def test_what_is_no_command_is_refused(tmp_path: Path, argv: list[str]) -> None:
    with pytest.raises(InvalidSpec):
        Bubblewrap(ORDINARY, None).wrap(argv, SandboxSpec(tmp_path))


def test_the_private_temporary_folder_holds_half_of_the_memory(tmp_path: Path) -> None:
    words = wrap(SandboxSpec(tmp_path, limits=Limits(memory_bytes=1000))).options
    at = words.index("/tmp")
    assert words[at - 3 : at] == ("--size", "500", "--tmpfs")


def test_an_older_bubblewrap_is_not_asked_for_what_it_lacks(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=1000)
    old = wrap(SandboxSpec(tmp_path, limits=limits), replace(ORDINARY, version=(0, 6, 1))).options
    assert "--disable-userns" not in old
    assert "--size" not in old
    assert "--disable-userns" in wrap(SandboxSpec(tmp_path, limits=limits)).options


def test_without_a_cgroup_processes_are_limited_inside_the_sandbox(tmp_path: Path) -> None:
    spec = SandboxSpec(tmp_path, limits=Limits(pids=50))
    assert wrap(spec, cgroups=None).argv[4:6] == ("/usr/bin/prlimit", "--nproc=53:53")
    assert wrap(spec).argv[4] == "/usr/bin/env"
    assert wrap(spec, replace(ORDINARY, prlimit=None), cgroups=None).argv[4] == "/usr/bin/env"


def test_a_binary_of_the_system_is_started_at_once_and_all_else_by_what_says_that_it_is_missing(
    tmp_path: Path,
) -> None:
    def first(program: str, **more: Any) -> str:
        spec = SandboxSpec(tmp_path, **more)
        return Bubblewrap(replace(ORDINARY, system=system), GROUPS).wrap([program], spec).argv[4]

    system = (("usr", None), ("bin", "usr/bin"), (str(tmp_path / "sys")[1:], None))
    (tmp_path / "sys").mkdir()
    folder = {"PATH": f"{tmp_path}/sys:/usr/bin"}
    for name, content, mode in (
        ("script", b"#!/bin/nothing\n", 0o755),
        ("closed", b"\x7fELF", 0o700),
        ("open", b"\x7fELF", 0o755),
    ):
        (tmp_path / "sys" / name).write_bytes(content)
        (tmp_path / "sys" / name).chmod(mode)
    (tmp_path / "sys/away").symlink_to(tmp_path / "elsewhere")
    assert first("open", env=folder) == "open"
    for other in ("script", "closed", "away", "missing", "./open", f"{tmp_path}/sys/open"):
        assert first(other, env=folder) == "/usr/bin/env"
    assert first("open", env={"PATH": f"{tmp_path}:{tmp_path}/sys"}) == "/usr/bin/env"
    over = Mount(tmp_path, target=f"{tmp_path}/sys/below")
    assert first("open", env=folder, mounts=(over,)) == "/usr/bin/env"


def test_the_description_says_what_holds_and_what_does_not() -> None:
    assert Bubblewrap(ROOT, GROUPS, network="/usr/bin/slirp4netns").describe() == (
        "sandbox: bubblewrap 0.8.0, user 65520, no network unless the task asks, then one of its own; "
        "memory, pids, cpu limits by cgroup v2"
    )
    riscv = replace(ORDINARY, machine="riscv64")
    assert Bubblewrap(riscv, None, "no cgroup is writable", no_network="none is installed").describe() == (
        "sandbox: bubblewrap 0.8.0, this user without its files, no network unless the task asks, then this "
        "machine's (none is installed); processes are limited, memory only per process, cpu not: "
        "no cgroup is writable; no system call filter for riscv64"
    )


def test_a_program_is_found_where_the_tool_would_find_it(tmp_path: Path) -> None:
    host = look("/usr/bin/bwrap", (0, 8), 65520)
    sandbox = Bubblewrap(host, None)
    workspace, cache, elsewhere = (tmp_path / name for name in ("workspace", "cache", "elsewhere"))
    for folder in (workspace, cache, elsewhere):
        folder.mkdir()
        (folder / "mytool").write_text("#!/bin/sh\n")
        (folder / "mytool").chmod(0o755)
    spec = SandboxSpec(workspace, mounts=(Mount(cache, "/cache"),))
    assert sandbox.which("sh", spec) in ("/usr/bin/sh", "/bin/sh")
    assert sandbox.which("mytool", spec) is None
    assert sandbox.which("./mytool", spec) == str(workspace / "mytool")
    assert sandbox.which("mytool", replace(spec, env={"PATH": "/cache"})) == "/cache/mytool"
    assert sandbox.which("mytool", replace(spec, env={"PATH": str(elsewhere)})) is None
    place = str(elsewhere / "mytool")
    assert sandbox.which(place, spec) is None
    assert sandbox.which(place, replace(spec, mounts=(Mount(elsewhere / "mytool", place),))) == place


def test_looking_around_finds_this_system() -> None:
    host = look("/usr/bin/bwrap", (0, 8), 65520)
    assert ("usr", None) in host.system
    assert "passwd" not in host.etc
    assert "shadow" not in host.etc
