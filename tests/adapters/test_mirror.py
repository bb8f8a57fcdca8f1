from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.adapters.repositories import commit, git, repository
from tests.waiting import wait_until
from turnout.adapters.git_command import Credential, GitFailed, address, said
from turnout.adapters.git_snapshot import snapshot
from turnout.adapters.mirror import GitSource, Mirrors
from turnout.core.change import Change
from turnout.core.errors import PermanentError, TransientError
from turnout.core.model import ChangeKind
from turnout.core.ports import Source


@pytest.fixture
def mirrors(tmp_path: Path) -> Mirrors:
    return Mirrors(tmp_path / "home")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin"
    repository(path, a_dot_py="a = 1\n", src__b_dot_py="b = 2\n")
    return path


def head(path: Path) -> str:
    return git(path, "rev-parse", "HEAD")


# --- checking out ---------------------------------------------------------------------------------


def test_a_commit_is_checked_out_exactly(mirrors: Mirrors, origin: Path, tmp_path: Path) -> None:
    first = head(origin)
    commit(origin, a_dot_py="a = 3\n")
    mirror = mirrors.of(str(origin))
    assert mirror.ensure(first)
    mirror.checkout(first, tmp_path / "tree")
    assert (tmp_path / "tree" / "a.py").read_text() == "a = 1\n"
    assert (tmp_path / "tree" / "src" / "b.py").read_text() == "b = 2\n"
    assert head(tmp_path / "tree") == first
    assert git(tmp_path / "tree", "status", "--porcelain") == ""


def test_the_second_time_needs_no_remote(mirrors: Mirrors, origin: Path, tmp_path: Path) -> None:
    sha = head(origin)
    mirrors.of(str(origin)).ensure(sha)
    origin.rename(tmp_path / "gone")
    assert not mirrors.of(str(origin)).ensure(sha)
    mirrors.of(str(origin)).checkout(sha, tmp_path / "tree")


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "{path}/"])
def test_local_addresses_of_every_form_are_one_mirror(mirrors: Mirrors, origin: Path, form: str) -> None:
    mirror = mirrors.of(form.format(path=origin))
    assert mirror.path == mirrors.of(str(origin)).path
    assert mirror.ensure(head(origin))


def test_tags_can_be_described_in_the_checkout(mirrors: Mirrors, origin: Path, tmp_path: Path) -> None:
    git(origin, "tag", "-a", "v1.2", "-m", "v1.2")
    sha = commit(origin, a_dot_py="a = 4\n")
    mirrors.of(str(origin)).ensure(sha)
    mirrors.of(str(origin)).checkout(sha, tmp_path / "tree")
    assert git(tmp_path / "tree", "describe").startswith("v1.2-1-g")


def test_a_commit_that_no_branch_holds_any_more_is_found_while_the_remote_has_it(
    mirrors: Mirrors, origin: Path
) -> None:
    lost = commit(origin, a_dot_py="lost\n")
    git(origin, "reset", "--quiet", "--hard", "HEAD~1")
    assert mirrors.of(str(origin)).ensure(lost)


def test_a_missing_commit_is_said_for_good(mirrors: Mirrors, origin: Path) -> None:
    with pytest.raises(PermanentError, match="has no commit 1111"):
        mirrors.of(str(origin)).ensure("1" * 40, "refs/heads/main")


def test_a_missing_repository_is_said_for_good(mirrors: Mirrors, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="check the repository's address"):
        mirrors.of(str(tmp_path / "none")).ensure("1" * 40)


def test_a_remote_that_is_away_can_be_tried_again(mirrors: Mirrors) -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1"):
        mirrors.of("http://127.0.0.1:9/x.git").ensure("1" * 40)


@pytest.mark.parametrize(
    "words",
    [
        "error: unable to write file README.md",  # git doesn't say why; the repository is well all the same
        "fatal: unable to write new_index file",
        "fatal: unable to write loose object file: No space left on device",
    ],
)
def test_a_disk_that_takes_nothing_is_nobodys_commits_fault(words: str) -> None:
    assert isinstance(
        said("checking out", address("/srv/git/shop.git"), GitFailed(128, words)), TransientError
    )


@pytest.mark.parametrize("sha", ["main", "--upload-pack=touch /tmp/x", "abc", "A" * 40])
def test_what_is_no_full_commit_id_never_reaches_git(mirrors: Mirrors, origin: Path, sha: str) -> None:
    with pytest.raises(PermanentError, match="full commit id"):
        mirrors.of(str(origin)).ensure(sha)


@pytest.mark.parametrize("url", ["ext::sh -c id", "fd::3", "git://host/x", "ftp://h/x", "-u", "", "a\nb"])
def test_other_protocols_are_refused(url: str) -> None:
    with pytest.raises(PermanentError):
        address(url)


def test_hooks_and_filters_of_the_repository_do_not_run(
    mirrors: Mirrors, origin: Path, tmp_path: Path
) -> None:
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "pre-receive"):
        file = origin / ".git" / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        file.chmod(0o755)
    sha = commit(origin, _dot_gitattributes="* filter=evil\n")
    git(origin, "config", "filter.evil.smudge", f"touch {tmp_path}/ran")
    (tmp_path / "ran").unlink(missing_ok=True)  # our own commit just ran them
    mirrors.of(str(origin)).ensure(sha)
    mirrors.of(str(origin)).checkout(sha, tmp_path / "tree")
    snapshot(mirrors, tmp_path / "tree")
    assert not (tmp_path / "ran").exists()


def test_many_attempts_at_once_share_one_fetch(mirrors: Mirrors, origin: Path, tmp_path: Path) -> None:
    shas = [commit(origin, a_dot_py=f"a = {n}\n") for n in range(4)] * 2

    def attempt(number: int) -> str:
        tree = tmp_path / f"tree{number}"
        mirror = mirrors.of(str(origin))
        mirror.ensure(shas[number])
        mirror.checkout(shas[number], tree)
        return (tree / "a.py").read_text()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(attempt, range(8))) == [f"a = {n % 4}\n" for n in range(8)]


def test_what_a_killed_fetch_left_behind_is_no_obstacle(mirrors: Mirrors, origin: Path) -> None:
    mirror = mirrors.of(str(origin))
    mirror.make()
    sha = head(origin)
    for debris in (
        "shallow.lock",
        f"refs/turnout/keep/{sha}.lock",
        "objects/pack/tmp_pack_x",
        "packed-refs.lock",
    ):
        file = mirror.path / debris
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert mirror.ensure(sha)
    assert not list(mirror.path.rglob("*.lock"))
    assert not list(mirror.path.rglob("tmp_*"))


def test_many_fetches_do_not_leave_as_many_packs(
    mirrors: Mirrors, origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.adapters.mirror.MOST_PACKS", 4)
    mirror = mirrors.of(str(origin))
    shas = []
    for number in range(7):
        shas.append(commit(origin, a_dot_py=f"a = {number}\n"))
        mirror.ensure(shas[-1])
    assert len(list(mirror.path.glob("objects/pack/*.pack"))) <= 4
    for number, sha in enumerate(shas):
        mirror.checkout(sha, tmp_path / f"tree{number}")
        assert (tmp_path / f"tree{number}" / "a.py").read_text() == f"a = {number}\n"


FETCH = """
import sys
from pathlib import Path
from turnout.adapters.mirror import Mirrors
Mirrors(Path(sys.argv[1])).of(sys.argv[2]).ensure(sys.argv[3])
"""


def test_a_worker_killed_in_the_middle_of_a_fetch_leaves_a_mirror_that_works(
    mirrors: Mirrors, tmp_path: Path
) -> None:
    origin = tmp_path / "big"
    sha = repository(origin, **{f"f{n}": os.urandom(2000).hex() * 20 for n in range(150)})
    mirror = mirrors.of(str(origin))
    for _ in range(3):
        worker = subprocess.Popen([sys.executable, "-c", FETCH, str(mirrors.home), str(origin), sha])
        wait_until(lambda: list(mirror.path.glob("objects/pack/tmp_*")) or mirror.has(sha), poll=0.001)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    mirror.ensure(sha)
    mirror.checkout(sha, tmp_path / "tree")
    assert git(tmp_path / "tree", "status", "--porcelain") == ""
    assert not list(mirror.path.glob("objects/pack/tmp_*"))


# --- credentials ------------------------------------------------------------------------------------


class Refusing(BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_credential_goes_in_a_header_and_nowhere_else(mirrors: Mirrors) -> None:
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Refusing,), {"seen": seen}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/owner/name.git"
        mirror = mirrors.of(url, Credential("s3cret-token"))
        with pytest.raises(TransientError) as caught:
            mirror.ensure("1" * 40)
    finally:
        server.shutdown()
        server.server_close()
    assert seen[0] == "Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0LXRva2Vu"
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(mirror)
    assert not [f for f in mirrors.home.rglob("*") if f.is_file() and b"s3cret" in f.read_bytes()]


def test_a_password_in_an_address_is_taken_out_of_it() -> None:
    found = address("https://user:p%40ss@example.org:8443/x.git")
    assert found.url == "https://example.org:8443/x.git"
    assert found.credential == Credential("p@ss", "user")
    assert address("https://tok@example.org/x").credential == Credential("tok", "x-access-token")
    assert address("ssh://git@example.org/x").url == "ssh://git@example.org/x"
    assert address("git@example.org:x/y.git").url == "git@example.org:x/y.git"


def test_a_credential_is_never_sent_unencrypted_to_another_machine(mirrors: Mirrors) -> None:
    remote = address("http://example.org/x", Credential("s3cret"))
    assert not [value for value in mirrors.git.environment(remote).values() if "czNjcmV0" in value]
    assert "GIT_CONFIG_VALUE_0" not in mirrors.git.environment(remote)


# --- the source port --------------------------------------------------------------------------------


def change(origin: Path, sha: str, **more: object) -> Change:
    known = {"kind": ChangeKind.PUSH, "repository": "o/n", "clone_url": str(origin), "ref": "refs/heads/main"}
    return Change.model_validate({**known, "sha": sha, **more})


@pytest.fixture
def source(mirrors: Mirrors) -> Source:
    return GitSource(mirrors)


def test_a_file_is_read_at_its_commit(source: Source, origin: Path) -> None:
    first = head(origin)
    second = commit(origin, a_dot_py="a = 5\n")
    assert source.read(change(origin, first), "a.py") == "a = 1\n"
    assert source.read(change(origin, second), "a.py") == "a = 5\n"
    assert source.read(change(origin, second, config_sha=first), "a.py") == "a = 1\n"
    assert source.read(change(origin, second), "none.py") is None
    assert source.read(change(origin, second), "src") is None


def test_a_link_is_followed_within_the_commit_only(source: Source, origin: Path) -> None:
    (origin / "inner.yml").symlink_to("a.py")
    (origin / "outer.yml").symlink_to("/etc/passwd")
    sha = commit(origin)
    assert source.read(change(origin, sha), "inner.yml") == "a = 1\n"
    assert source.read(change(origin, sha), "outer.yml") is None


def test_what_is_no_text_or_too_large_is_refused(source: Source, origin: Path) -> None:
    (origin / "binary").write_bytes(b"\xff\xfe\x00")
    (origin / "huge").write_text("x" * 1_000_001)
    sha = commit(origin)
    with pytest.raises(PermanentError, match="not UTF-8"):
        source.read(change(origin, sha), "binary")
    with pytest.raises(PermanentError, match="1000001 bytes"):
        source.read(change(origin, sha), "huge")


def test_changed_paths_of_a_push_and_of_a_pull_request(source: Source, origin: Path) -> None:
    before = head(origin)
    git(origin, "checkout", "--quiet", "-b", "topic")
    commit(origin, new_dot_py="")
    sha = commit(origin, a_dot_py="a = 6\n")
    git(origin, "checkout", "--quiet", "main")
    commit(origin, other_dot_py="")
    assert source.changed_paths(change(origin, sha, before=before)) == ("a.py", "new.py")
    assert source.changed_paths(change(origin, sha, base_branch="main")) == ("a.py", "new.py")


def test_changed_paths_are_unknown_without_a_commit_to_compare_with(source: Source, origin: Path) -> None:
    assert source.changed_paths(change(origin, head(origin))) is None
    assert source.changed_paths(change(origin, head(origin), before="0" * 40)) is None
    assert source.changed_paths(change(origin, head(origin), before="1" * 40)) is None
    assert source.changed_paths(change(origin, head(origin), base_branch="none")) is None


# --- snapshots ------------------------------------------------------------------------------------------


def everything(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def test_a_snapshot_holds_what_is_not_committed_and_leaves_the_repository_alone(
    mirrors: Mirrors, origin: Path, tmp_path: Path
) -> None:
    commit(origin, _dot_gitignore="*.log\n", gone_dot_py="")
    (origin / "a.py").write_text("changed\n")
    (origin / "new.py").write_text("untracked\n")
    (origin / "x.log").write_text("ignored\n")
    (origin / "gone.py").unlink()
    (origin / "staged.py").write_text("staged\n")
    git(origin, "add", "staged.py")
    (origin / "staged.py").unlink()  # only the index has it
    before = everything(origin)
    taken = snapshot(mirrors, origin)
    assert everything(origin) == before
    assert taken.dirty
    assert (taken.head, taken.branch, taken.root) == (head(origin), "main", origin)
    mirror = mirrors.of(str(origin))
    assert not mirror.ensure(taken.sha)
    mirror.checkout(taken.sha, tmp_path / "tree")
    assert sorted(f.name for f in (tmp_path / "tree").iterdir() if f.is_file()) == [
        ".gitignore",
        "a.py",
        "new.py",
    ]
    assert (tmp_path / "tree" / "a.py").read_text() == "changed\n"
    assert snapshot(mirrors, origin).sha == taken.sha


def test_what_is_only_staged_in_the_users_index_is_in_the_snapshot(
    mirrors: Mirrors, origin: Path, tmp_path: Path
) -> None:
    (origin / "staged.py").write_text("staged\n")
    git(origin, "add", "staged.py")
    taken = snapshot(mirrors, origin)
    mirrors.of(str(origin)).checkout(taken.sha, tmp_path / "tree")
    assert (tmp_path / "tree" / "staged.py").read_text() == "staged\n"


def test_a_clean_working_tree_is_its_commit(mirrors: Mirrors, origin: Path) -> None:
    taken = snapshot(mirrors, origin / "src")
    assert (taken.sha, taken.dirty, taken.root) == (head(origin), False, origin)


def test_a_shallow_clone_and_a_linked_working_tree_can_be_run(
    mirrors: Mirrors, origin: Path, tmp_path: Path
) -> None:
    commit(origin, a_dot_py="a = 7\n")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin}", "shallow")
    git(origin, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    for name, branch in (("shallow", "main"), ("linked", "side")):
        (tmp_path / name / "more.py").write_text("more\n")
        taken = snapshot(mirrors, tmp_path / name)
        assert taken.dirty
        assert taken.branch == branch
        mirror = mirrors.of(str(taken.root))
        mirror.ensure(taken.sha)
        mirror.checkout(taken.sha, tmp_path / f"{name}-tree")
        assert (tmp_path / f"{name}-tree" / "more.py").read_text() == "more\n"
        assert (tmp_path / f"{name}-tree" / "a.py").read_text() == "a = 7\n"


def test_a_folder_without_git_and_a_repository_without_commits_can_be_run(
    mirrors: Mirrors, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    unborn = tmp_path / "unborn"
    for path in (plain, unborn):
        path.mkdir()
        (path / "a.py").write_text("a\n")
        (path / "skipped.log").write_text("log\n")
        (path / ".gitignore").write_text("*.log\n")
    git(unborn, "init", "--quiet")
    for path in (plain, unborn):
        before = everything(path)
        taken = snapshot(mirrors, path)
        assert everything(path) == before
        assert taken.head == ""
        mirrors.of(str(path)).checkout(taken.sha, tmp_path / f"{path.name}-tree")
        names = sorted(f.name for f in (tmp_path / f"{path.name}-tree").iterdir())
        assert names == [".git", ".gitignore", "a.py"]


def test_no_folder_is_said(mirrors: Mirrors, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="not a folder"):
        snapshot(mirrors, tmp_path / "none")


@pytest.mark.parametrize(
    "given",
    ["https://[", "ssh://[::1", "http://\u2100/", "~nobody-of-this-name/x", "/a\ud800", "http://u@//u@h"],
)
def test_an_address_that_cannot_even_be_taken_apart_is_refused(given: str) -> None:
    with pytest.raises(PermanentError, match="is no address of a repository"):
        address(given)
