from __future__ import annotations

from pathlib import Path

import pytest

from turnout.runtimes.confinement import confinement

ROOT = "21 1 0:20 / / {how},relatime - overlay overlay ro"
HELD = {"NoNewPrivs": "1", "CapBnd": "0000000000000000", "Seccomp": "2"}


def proc(folder: Path, how: str = "ro", **status: str) -> Path:
    (folder / "status").write_text("Name:\tpython\n" + "".join(f"{k}:\t{v}\n" for k, v in status.items()))
    (folder / "mountinfo").write_text(ROOT.format(how=how) + "\n22 21 0:21 / /proc rw - proc proc rw\n")
    return folder


def test_a_container_without_any_right_is_said_to_hold_its_process(tmp_path: Path) -> None:
    assert confinement(proc(tmp_path, **HELD)) == (
        "no privilege of the kernel and no way to one, a filter of system calls, a root that can't be written to"
    )


def test_only_what_is_there_is_said(tmp_path: Path) -> None:
    assert confinement(proc(tmp_path, "rw", **(HELD | {"Seccomp": "0"}))) == (
        "no privilege of the kernel and no way to one"
    )


@pytest.mark.parametrize(
    "but", [{"NoNewPrivs": "0"}, {"CapBnd": "00000000a80425fb"}, {"CapBnd": "000001ffffffffff"}]
)
def test_a_process_that_can_get_rights_is_not_held_in(tmp_path: Path, but: dict[str, str]) -> None:
    assert confinement(proc(tmp_path, **(HELD | but))) == ""


def test_where_the_kernel_does_not_tell_nothing_is_claimed(tmp_path: Path) -> None:
    assert confinement(tmp_path / "nowhere") == ""
    assert confinement(proc(tmp_path)) == ""
