"""The audit of the dependencies finds what was planted."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import py_compile
import ssl
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.setup.audit import judge, main, python_advisories, python_locks, tracked
from local.setup.installed import file_problems, version_problems
from local.setup.locks import Pin, npm_problems, read_pins, requirement_problems

ROOT = Path(__file__).resolve().parents[2]
HASH = "--hash=sha256:" + "a" * 64


# --- locks ---------------------------------------------------------------------------------------------


def test_every_requirement_of_this_project_is_pinned_with_hashes() -> None:
    locks = python_locks(tracked(ROOT))
    assert {"requirements.txt", "requirements-dev.txt"} <= {path.name for path in locks}
    assert [problem for lock in locks for problem in requirement_problems(lock)] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"flask>=3.0 {HASH}", "not pinned to one version"),
        (f"flask {HASH}", "not pinned"),
        ("flask==3.0", "flask has no hash"),
        ("flask==3.0 --hash=md5:" + "a" * 32, "flask has no hash"),
        ("flask==3.0 --hash=sha256:" + "a" * 63, "flask has no hash"),
        (f"flask @ https://example.org/flask.whl {HASH}", "not pinned to one version by name"),
        (f"-e ./here {HASH}", "not pinned"),
        ("--extra-index-url https://example.org/simple", "not pinned"),
        ("--trusted-host example.org", "not pinned"),
        (f"flask==3.0 {HASH} --global-option=x", "an option that does not belong here"),
    ],
)
def test_what_could_be_anything_is_found_in_a_lock(line: str, problem: str) -> None:
    _, found = read_pins(f"# made by hand\nclick==8.1 \\\n    {HASH}\n{line}\n", "lock.txt")
    assert [each for each in found if problem in each], found
    assert all(each.startswith("lock.txt:4: ") for each in found)


def test_a_wanted_distribution_that_is_not_locked_is_found(tmp_path: Path) -> None:
    (tmp_path / "requirements.in").write_text("Flask>=3\nClick  # command line\n-r other.in\n")
    (tmp_path / "requirements.txt").write_text(f"flask==3.0 ; python_version >= '3.8' {HASH}\n")
    assert requirement_problems(tmp_path / "requirements.txt") == [
        f"{tmp_path}/requirements.in:2: Click is not in requirements.txt: run make lock"
    ]
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    assert f"{tmp_path}/requirements.txt: no pin at all" in requirement_problems(
        tmp_path / "requirements.txt"
    )


def test_a_lock_of_npm_has_the_integrity_of_everything(tmp_path: Path) -> None:
    good = {"version": "1.0.0", "integrity": "sha512-" + "A" * 86 + "=="}
    packages = {"": {"name": "us"}, "node_modules/good": good, "node_modules/ours": {"link": True}}
    packages["node_modules/good/node_modules/within"] = {"version": "1.0.0", "inBundle": True}
    lock = tmp_path / "package-lock.json"
    lock.write_text(json.dumps({"lockfileVersion": 3, "packages": packages}))
    assert npm_problems(lock) == []
    bad = {
        "node_modules/bare": {"version": "1.0.0"},
        "node_modules/weak": {"version": "1.0.0", "integrity": "sha1-abc="},
        "node_modules/git": good | {"resolved": "git+ssh://git@example.org/x.git"},
        "node_modules/a/node_modules/loose": {"integrity": good["integrity"]},
        "node_modules/alone": {"version": "1.0.0", "inBundle": True},
    }
    lock.write_text(json.dumps({"lockfileVersion": 3, "packages": packages | bad}))
    assert [problem.partition(": ")[2] for problem in npm_problems(lock)] == [
        "node_modules/bare has no integrity hash",
        "node_modules/weak has no integrity hash",
        "node_modules/git comes from git+ssh:",
        "node_modules/a/node_modules/loose has no version",
        "node_modules/alone has no integrity hash",
    ]
    lock.write_text(json.dumps({"lockfileVersion": 1, "dependencies": {}}))
    assert "lockfileVersion 1 has no hashes" in npm_problems(lock)[0]


# --- what is installed ---------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with one distribution in it, as an installer leaves it."""
    root = tmp_path / "venv" / "site-packages"
    files = {
        "shop/__init__.py": "TEA = 1\n",
        "shop/cart.py": "def total():\n    return 3\n",
        "shop/hook-cart.tea.py": "TEA = 2\n",
        "../bin/shop": "#!/usr/bin/env python3\n",
        "shop-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Shop\nVersion: 1.0\n\nVersion: 9.9\n",
    }
    rows = []
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(text)}")
    rows.append("shop-1.0.dist-info/RECORD,,")
    (root / "shop-1.0.dist-info/RECORD").write_text("\n".join(rows) + "\n")
    (root / "shop-1.0.dist-info/INSTALLER").write_text("uv")
    for name in ("cart.py", "hook-cart.tea.py"):
        py_compile.compile(str(root / "shop" / name))
    return root


PINS = [Pin("shop", "1.0", "", ("sha256:x",))]


def test_what_was_installed_and_not_touched_is_clean(site: Path) -> None:
    assert file_problems(site) == []
    assert version_problems(site, PINS, frozenset()) == []


def test_what_pytest_has_made_of_a_plugin_is_not_believed_but_made_anew(site: Path) -> None:
    made = site / f"shop/__pycache__/cart.{sys.implementation.cache_tag}-pytest-9.2.0.pyc"
    made.write_bytes(b"whatever")
    assert file_problems(site) == []
    assert not made.exists()


def append(path: str, text: str = "import os\n") -> Callable[[Path], object]:
    def change(site: Path) -> None:
        with (site / path).open("a") as file:
            file.write(text)

    return change


def plant_bytecode(site: Path) -> None:
    """Code that runs in place of a source which looks as it should: its time and size are those of the source."""
    source, evil = site / "shop/cart.py", site.parent / "evil.py"
    evil.write_text("def total():\n    return 4\n")
    seen = source.stat()
    os.utime(evil, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    made = py_compile.compile(str(evil), dfile=str(source))
    assert made
    (site / "shop/__pycache__" / f"cart.{sys.implementation.cache_tag}.pyc").write_bytes(
        Path(made).read_bytes()
    )


def unlink(path: str) -> Callable[[Path], object]:
    return lambda site: (site / path).unlink()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (append("shop/cart.py"), "shop-1.0.dist-info: shop/cart.py is not as it was installed"),
        (append("../bin/shop"), "shop-1.0.dist-info: ../bin/shop is not as it was installed"),
        (unlink("shop/__init__.py"), "shop-1.0.dist-info: shop/__init__.py is gone"),
        (append("shop/extra.py"), "shop/extra.py belongs to no distribution"),
        (append("evil.pth"), "evil.pth belongs to no distribution"),
        (append("sitecustomize.py"), "sitecustomize.py belongs to no distribution"),
        (append("shop/cart.so"), "shop/cart.so belongs to no distribution"),
        (plant_bytecode, f"cart.{sys.implementation.cache_tag}.pyc is not what its source compiles to"),
        (
            append(f"shop/__pycache__/hidden.{sys.implementation.cache_tag}.pyc"),
            "has no source that was installed",
        ),
    ],
)
def test_a_planted_change_is_found(site: Path, change: Callable[[Path], object], problem: str) -> None:
    change(site)
    assert [each for each in file_problems(site) if problem in each], file_problems(site)


AUTHORITY = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


def test_an_authority_is_added_to_the_list_only_if_the_machine_trusts_it(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, machines = AUTHORITY.format("b3Vycw=="), AUTHORITY.format("bWFj\naGluZXM=")
    (tmp_path / "store.pem").write_text(machines)
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(tmp_path / "store.pem"))
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: paths)
    (site / "certifi").mkdir()
    (site / "certifi/cacert.pem").write_text(ours)
    digest = base64.urlsafe_b64encode(hashlib.sha256(ours.encode()).digest()).rstrip(b"=").decode()
    append("shop-1.0.dist-info/RECORD", f"certifi/cacert.pem,sha256={digest},{len(ours)}\n")(site)
    append("certifi/cacert.pem", "\n" + machines)(site)
    assert file_problems(site) == []
    append("certifi/cacert.pem", AUTHORITY.format("ZXZpbA=="))(site)
    assert file_problems(site) == ["shop-1.0.dist-info: certifi/cacert.pem is not as it was installed"]
    (site / "certifi/cacert.pem").write_text(machines)
    assert file_problems(site) == ["shop-1.0.dist-info: certifi/cacert.pem is not as it was installed"]


def test_another_version_a_missing_and_an_extra_distribution_are_found(site: Path) -> None:
    pins = [
        Pin("shop", "1.1", "", ()),
        Pin("tea", "1", "", ()),
        Pin("winonly", "1", "sys_platform == 'win32'", ()),
    ]
    assert version_problems(site, pins, frozenset()) == [
        "shop 1.0 is installed, the lock says 1.1",
        "tea is not installed",
    ]
    assert version_problems(site, [], frozenset()) == ["shop 1.0 is installed, and not in the lock"]
    assert version_problems(site, [], frozenset({"shop"})) == []


def test_a_planted_change_fails_the_whole(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"shop==1.0 {HASH}\n")
    arguments = ["--site", str(site), "--lock", str(lock), "--pip-audit", "/nowhere/pip-audit"]
    assert main(arguments) == 0
    assert "not checked, requirements.txt: /nowhere/pip-audit is not installed" in capsys.readouterr().out
    append("shop/cart.py")(site)
    assert main(arguments) == 1
    assert "✘ shop-1.0.dist-info: shop/cart.py is not as it was installed" in capsys.readouterr().out
    assert main([*arguments, "--advisories"]) == 1


# --- what is known to be bad --------------------------------------------------------------------------


def fake_pip_audit(folder: Path, script: str) -> str:
    program = folder / "pip-audit"
    program.write_text(
        f'#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = --output ] && out=$2; shift; done\n{script}\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(f"flask==3.0 {HASH}\nclick==8.1 {HASH}\n")
    return path


def entry(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "version": "1", "vulns": [], **more}


def test_it_is_clean_only_if_everything_was_looked_up(lock: Path) -> None:
    both = {"dependencies": [entry("flask"), entry("click")]}
    assert judge(both, lock).clean is True
    assert judge({"dependencies": [entry("flask")]}, lock).clean is None
    skipped = {"dependencies": [entry("flask"), {"name": "click", "skip_reason": "not found"}]}
    assert judge(skipped, lock).clean is None
    bad = {"dependencies": [entry("flask", vulns=[{"id": "CVE-1"}]), entry("click")]}
    assert (judge(bad, lock).clean, judge(bad, lock).said) == (False, "flask 1: CVE-1")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'ConnectionError: no route' >&2; exit 1", "ConnectionError: no route"),
        ("exit 0", "ended with 0"),
        ('echo "{\\"dependencies\\": []}" > "$out"; exit 0', "2 of 2 were not looked up"),
        ('echo "not json" > "$out"; exit 0', "ended with 0"),
    ],
)
def test_an_auditor_that_could_not_look_has_not_found_it_clean(
    lock: Path, tmp_path: Path, script: str, said: str
) -> None:
    """Exit status 0 included."""
    verdict = python_advisories(fake_pip_audit(tmp_path, script), lock, dict(os.environ))
    assert verdict.clean is None
    assert said in verdict.said
