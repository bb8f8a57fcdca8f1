"""Submodules, Git LFS and lone commits from a real git server that asks who is there."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.adapters.repositories import commit, git, repository
from tests.git_http import Served, hosting
from tests.real import require
from turnout.adapters.git_command import Credential
from turnout.adapters.git_extras import Extras
from turnout.adapters.mirror import Mirror, Mirrors
from turnout.core.errors import PermanentError, TransientError
from turnout.core.plan import CheckoutOptions

pytestmark = pytest.mark.real

TOKEN = "t0psecret-of-shop"
BASIC = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
GUARD = f"Basic {BASIC}"
SUBMODULES = CheckoutOptions(submodules="direct")
LFS = CheckoutOptions(lfs=True)


@dataclass
class House:
    """A server whose repository ``shop`` wants the token, and the home of whoever checks out from it."""

    served: Served
    mirrors: Mirrors
    folder: Path
    said: list[str] = field(default_factory=list)

    def shop(self) -> Mirror:
        return self.mirrors.of(f"{self.served.url}/shop.git", Credential(TOKEN))

    def check_out(
        self, sha: str, options: CheckoutOptions, *, trusted: bool = True, most: int | None = None
    ) -> Path:
        tree = self.folder / f"tree{len(list(self.folder.glob('tree*')))}"
        mirror = self.shop()
        mirror.ensure(sha)
        mirror.checkout(sha, tree)
        Extras(self.mirrors, mirror, options, trusted, most, self.said.append).add(sha, tree)
        return tree

    def origin(self, name: str) -> Path:
        return self.served.folder / f"{name}.git"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    folder = tmp_path / "served"
    repository(folder / "shop.git", a_dot_txt="shop\n")
    repository(folder / "lib.git", b_dot_txt="lib\n")
    served = Served(folder, guarded={"shop": GUARD})
    with hosting(served):
        yield House(served, Mirrors(tmp_path / "home"), tmp_path)


def link(origin: Path, *links: tuple[str, str, str]) -> str:
    """A commit with submodules (path, address, commit); its id."""
    text = ""
    for path, url, sha in links:
        text += f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
        git(origin, "update-index", "--add", "--cacheinfo", f"160000,{sha},{path}")
    (origin / ".gitmodules").write_text(text)
    git(origin, "add", ".gitmodules")
    git(origin, "commit", "--quiet", "--message", "link")
    return git(origin, "rev-parse", "HEAD")


def head(origin: Path) -> str:
    return git(origin, "rev-parse", "HEAD")


# --- submodules ---------------------------------------------------------------------------------------------


def test_submodules_are_checked_out_at_their_commit_and_theirs_where_that_is_asked(house: House) -> None:
    repository(house.origin("deep"), c_dot_txt="deep\n")
    old = link(house.origin("lib"), ("deep", "../deep.git", head(house.origin("deep"))))
    commit(house.origin("lib"), b_dot_txt="newer\n")
    sha = link(house.origin("shop"), ("vendor/lib", "../lib.git", old))
    plain = house.check_out(sha, CheckoutOptions())
    assert list((plain / "vendor/lib").iterdir()) == []
    direct = house.check_out(sha, SUBMODULES)
    assert (direct / "vendor/lib/b.txt").read_text() == "lib\n"
    assert list((direct / "vendor/lib/deep").iterdir()) == []
    whole = house.check_out(sha, CheckoutOptions(submodules="recursive"))
    assert (whole / "vendor/lib/deep/c.txt").read_text() == "deep\n"
    assert git(whole, "status", "--porcelain") == ""
    assert git(whole / "vendor/lib", "rev-parse", "HEAD") == old


def test_the_credential_is_for_the_repository_alone_and_a_private_submodule_says_so(house: House) -> None:
    lib = ("lib", "../lib.git", head(house.origin("lib")))
    house.check_out(link(house.origin("shop"), lib), SUBMODULES)
    assert house.served.credentials("/shop.git/") == {GUARD}
    assert house.served.credentials("/lib.git/") == {""}
    house.served.guarded["other"] = "Basic of-somebody-else"
    repository(house.origin("other"))
    sha = link(house.origin("shop"), lib, ("other", "../other.git", head(house.origin("other"))))
    with pytest.raises(PermanentError, match=r"submodule 'other'.*other\.git") as caught:
        house.check_out(sha, SUBMODULES)
    assert "must be readable by all" in caught.value.hint
    assert house.served.credentials("/other.git/") == {""}


def test_what_the_mirror_has_of_another_project_is_not_lent_to_who_could_not_fetch_it(house: House) -> None:
    """The other project's attempts have fetched it with their credential; one needs to know a commit's id alone."""
    house.served.guarded["other"] = "Basic " + base64.b64encode(b"x-access-token:theirs").decode()
    theirs = repository(house.origin("other"), secret_dot_txt="theirs\n")
    house.mirrors.of(f"{house.served.url}/other.git", Credential("theirs")).ensure(theirs)
    sha = link(house.origin("shop"), ("other", "../other.git", theirs))
    with pytest.raises(PermanentError, match="submodule 'other'"):
        house.check_out(sha, SUBMODULES)


def test_another_commit_of_the_repository_itself_can_be_a_submodule(house: House) -> None:
    old = head(house.origin("shop"))
    sha = link(house.origin("shop"), ("before", "../shop.git", old))
    assert (house.check_out(sha, SUBMODULES) / "before/a.txt").read_text() == "shop\n"


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        ("", "doesn't say where"),
        ('[submodule "lib"]\n\tpath = elsewhere\n\turl = ../lib.git\n', "doesn't say where"),
        ('[submodule "../../../../.git/hooks"]\n\tpath = lib\n\turl = ../lib.git\n', "leads out of a folder"),
        ('[submodule "lib"]\n\tpath = lib\n\turl = ext::touch /tmp/turnout-ran\n', "not allowed"),
        ('[submodule "lib"]\n\tpath = lib\n\turl = file:///srv\n', "folders of the agents"),
        (
            '[include]\n\tpath = /etc/passwd\n[submodule "lib"]\n\tpath = lib\n\turl = /srv\n',
            "folders of the agents",
        ),
    ],
)
def test_a_list_of_submodules_that_leads_elsewhere_is_refused(house: House, modules: str, why: str) -> None:
    origin = house.origin("shop")
    git(origin, "update-index", "--add", "--cacheinfo", f"160000,{head(house.origin('lib'))},lib")
    (origin / ".gitmodules").write_text(modules)
    git(origin, "add", ".gitmodules")
    git(origin, "commit", "--quiet", "--message", "link")
    with pytest.raises(PermanentError, match=why):
        house.check_out(head(origin), SUBMODULES)
    assert not Path("/tmp/turnout-ran").exists()


def test_a_submodule_runs_nothing_and_sets_nothing(house: House, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    lib = house.origin("lib")
    (lib / ".gitattributes").write_text("* filter=evil\n")
    evil = commit(lib, x_dot_txt="x\n")
    origin = house.origin("shop")
    (origin / ".gitmodules").write_text(
        f'[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n\tupdate = !touch {mark}\n'
        f'[filter "evil"]\n\tsmudge = touch {mark}\n[core]\n\tfsmonitor = touch {mark}\n\thooksPath = {tmp_path}\n'
        f'[url "ext::touch {mark} "]\n\tinsteadOf = {house.served.url}\n'
    )
    git(origin, "update-index", "--add", "--cacheinfo", f"160000,{evil},lib")
    git(origin, "add", ".gitmodules")
    git(origin, "commit", "--quiet", "--message", "link")
    tree = house.check_out(head(origin), SUBMODULES)
    assert (tree / "lib/x.txt").read_text() == "x\n"
    assert not mark.exists()
    for config in tree.rglob(".git/config"):
        assert "touch" not in config.read_text()


def test_a_folder_that_is_no_folder_takes_no_submodule(house: House, tmp_path: Path) -> None:
    """git keeps a commit from having a link and something below it; by hand, a tree can be made that has both."""
    outside = tmp_path / "outside"
    outside.mkdir()
    origin = house.origin("shop")
    lib = head(house.origin("lib"))
    blob = git(origin, "hash-object", "-w", "--stdin", stdin=str(outside))
    inner = git(origin, "mktree", "--missing", stdin=f"160000 commit {lib}\tlib\n")
    modules = git(
        origin,
        "hash-object",
        "-w",
        "--stdin",
        stdin='[submodule "l"]\n\tpath = way/lib\n\turl = ../lib.git\n',
    )
    tree = git(
        origin,
        "mktree",
        "--missing",
        stdin=f"100644 blob {modules}\t.gitmodules\n120000 blob {blob}\tway\n040000 tree {inner}\tway\n",
    )
    git(origin, "update-ref", "refs/heads/main", git(origin, "commit-tree", tree, "-m", "x"))
    with suppress(PermanentError, TransientError):
        house.check_out(git(origin, "rev-parse", "refs/heads/main"), SUBMODULES)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".."])
@pytest.mark.parametrize("mode", ["120000 blob", "040000 tree", "100644 blob"])
def test_a_commit_with_a_git_folder_of_its_own_is_not_checked_out(
    house: House, name: str, mode: str, tmp_path: Path
) -> None:
    """No git makes such a commit; by hand it can be made, and it would put hooks and settings where git looks."""
    origin, mark = house.origin("shop"), tmp_path / "ran"
    content = {"120000 blob": str(tmp_path), "100644 blob": f"gitdir: {tmp_path}\n"}.get(mode, "")
    if content:
        inner = git(origin, "hash-object", "-w", "--stdin", stdin=content)
    else:
        config = f"[core]\n\tfsmonitor = touch {mark}\n\thooksPath = {tmp_path}\n"
        blob = git(origin, "hash-object", "-w", "--stdin", stdin=config)
        inner = git(origin, "mktree", stdin=f"100644 blob {blob}\tconfig\n")
    made = git(origin, "mktree", stdin=f"{mode} {inner}\t{name}\n")
    sha = git(origin, "commit-tree", made, "-m", "x")
    git(origin, "update-ref", "refs/heads/evil", sha)
    with pytest.raises(PermanentError):
        house.check_out(sha, SUBMODULES)
    assert not mark.exists()
    for config_file in tmp_path.glob("tree*/.git/config"):
        assert "fsmonitor" not in config_file.read_text()


# --- one commit, and those that a force-push left behind ---------------------------------------------------------


def test_where_there_is_no_mirror_one_commit_is_fetched_and_nothing_else(house: House) -> None:
    origin = house.origin("shop")
    git(origin, "tag", "v1")
    sha = commit(origin, a_dot_txt="newer\n")
    mirror = house.shop()
    assert mirror.ensure(sha, "refs/heads/main", shallow=True)
    mirror.checkout(sha, house.folder / "tree")
    assert (house.folder / "tree/a.txt").read_text() == "newer\n"
    assert git(mirror.path, "rev-list", "--count", sha) == "1"
    assert git(mirror.path, "tag") == ""
    assert not mirror.ensure(sha)


def pushed_away(house: House) -> tuple[str, str]:
    """A commit that no branch has any more, and the one that took its place."""
    origin = house.origin("shop")
    lost = commit(origin, a_dot_txt="lost\n")
    git(origin, "reset", "--quiet", "--hard", "HEAD~1")
    return lost, commit(origin, a_dot_txt="won\n")


@pytest.mark.parametrize("shallow", [False, True])
def test_after_a_force_push_the_exact_commit_is_checked_out(house: House, shallow: bool) -> None:
    lost, _ = pushed_away(house)
    mirror = house.shop()
    assert mirror.ensure(lost, "refs/heads/main", shallow=shallow)
    mirror.checkout(lost, house.folder / "tree")
    assert (house.folder / "tree/a.txt").read_text() == "lost\n"


@pytest.mark.parametrize("shallow", [False, True])
def test_a_server_that_gives_no_such_commit_is_said_to(house: House, shallow: bool) -> None:
    house.served.old = True
    lost, won = pushed_away(house)
    with pytest.raises(PermanentError, match=f"only commits that a branch or tag.*{lost}") as caught:
        house.shop().ensure(lost, "refs/heads/main", shallow=shallow)
    assert "force-push" in caught.value.hint
    for sha in (won, git(house.origin("shop"), "rev-parse", "HEAD~1")):
        house.shop().ensure(sha, "refs/heads/main", shallow=shallow)
        house.shop().checkout(sha, house.folder / sha)


# --- who is given the token -----------------------------------------------------------------------------------------


def test_a_credential_follows_no_redirect(house: House) -> None:
    other = Served(house.served.folder)
    with hosting(other) as elsewhere:
        house.served.moved["shop"] = elsewhere.replace("127.0.0.1", "localhost")
        with pytest.raises(PermanentError, match="301") as caught:
            house.shop().ensure(head(house.origin("shop")))
    assert not other.seen
    assert "clone_url" in caught.value.hint


def test_no_process_file_or_log_shows_the_token(house: House) -> None:
    """Looked at from within each request of git and git-lfs, when they are at their work."""
    with_lfs()
    secret = (TOKEN.encode(), BASIC.encode())
    shown: list[str] = []
    ours: set[str] = set()

    def look() -> None:
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                said = line.read_bytes()
            except OSError:
                continue
            if said.startswith(b"git") or b"git-remote" in said or b"git-lfs" in said:
                ours.add(said.split(b"\0")[0].decode())
            if any(each in said for each in secret):
                shown.append(said.decode("utf-8", "replace"))

    house.served.while_asked = look
    large(house, "big.bin", b"large\n" * 1000)
    sha = link(house.origin("shop"), ("lib", "../lib.git", head(house.origin("lib"))))
    tree = house.check_out(sha, CheckoutOptions(submodules="direct", lfs=True))
    assert (tree / "big.bin").read_bytes() == b"large\n" * 1000
    assert {GUARD} <= house.served.credentials("/shop.git/info/lfs")
    assert any("remote-http" in each for each in ours), ours
    assert any("lfs" in each for each in ours), ours
    assert shown == []
    kept = [path for path in house.folder.rglob("*") if path.is_file() and "served" not in path.parts]
    assert [path for path in kept if any(each in path.read_bytes() for each in secret)] == []
    assert any(path.name == "config" and ".git" in str(path) for path in kept)
    assert TOKEN not in "".join(house.said)
    for place in (tree, tree / "lib", house.shop().path):
        assert "x-access-token" not in git(place, "config", "--list")
        assert "extraheader" not in git(place, "config", "--list").lower()


# --- Git LFS --------------------------------------------------------------------------------------------------------


def with_lfs() -> None:
    require("git-lfs", shutil.which("git-lfs") is not None, "make real-parts")


def large(house: House, name: str, content: bytes, *, served: bool = True, origin: str = "shop") -> str:
    """A commit with a pointer, as git-lfs would have made it."""
    oid = hashlib.sha256(content).hexdigest()
    if served:
        house.served.objects[oid] = content
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    (house.origin(origin) / name).write_text(pointer)
    return commit(house.origin(origin), _dot_gitattributes="*.bin filter=lfs diff=lfs merge=lfs -text\n")


def test_files_in_lfs_are_fetched_once_and_are_no_changes(house: House) -> None:
    with_lfs()
    content = os.urandom(200_000)
    sha = large(house, "big.bin", content)
    (house.origin("shop") / "twin.bin").write_text((house.origin("shop") / "big.bin").read_text())
    (house.origin("shop") / "no pointer.bin").write_text("hello\n")
    sha = commit(house.origin("shop"))
    tree = house.check_out(sha, LFS)
    assert (tree / "big.bin").read_bytes() == (tree / "twin.bin").read_bytes() == content
    assert (tree / "no pointer.bin").read_text() == "hello\n"
    assert git(tree, "status", "--porcelain") == ""
    before = len(house.served.seen)
    assert (house.check_out(sha, LFS) / "big.bin").read_bytes() == content
    assert len(house.served.seen) == before


def test_without_lfs_a_note_says_that_only_pointers_are_here(house: House) -> None:
    sha = large(house, "big.bin", b"x" * 5000)
    tree = house.check_out(sha, CheckoutOptions())
    assert (tree / "big.bin").read_text().startswith("version https://git-lfs")
    assert [line for line in house.said if "big.bin" in line and "`checkout: {lfs: true}`" in line]


def test_a_repository_without_lfs_says_nothing_of_it(house: House) -> None:
    house.check_out(head(house.origin("shop")), LFS)
    assert house.said == []


def test_where_git_lfs_is_missing_the_error_says_how_to_install_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = large(house, "big.bin", b"x")
    only_git = house.folder / "bin"
    only_git.mkdir()
    core = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    for program in Path(core).iterdir():
        if "lfs" not in program.name:
            (only_git / program.name).symlink_to(program)
    (only_git / "git").unlink()
    git_itself = shutil.which("git")
    assert git_itself
    (only_git / "git").symlink_to(git_itself)
    monkeypatch.setenv("PATH", str(only_git))
    with pytest.raises(PermanentError, match="git-lfs is not installed") as caught:
        house.check_out(sha, LFS)
    assert "apt-get install git-lfs" in caught.value.hint


def test_an_object_that_the_server_lacks_is_an_error(house: House) -> None:
    with_lfs()
    sha = large(house, "big.bin", b"never pushed", served=False)
    with pytest.raises(PermanentError, match="Git LFS"):
        house.check_out(sha, LFS)


def test_what_is_not_what_its_pointer_says_does_not_come(house: House) -> None:
    with_lfs()
    sha = large(house, "big.bin", b"as it was", served=False)
    house.served.objects[hashlib.sha256(b"as it was").hexdigest()] = b"as it i5!"
    with pytest.raises((PermanentError, TransientError)):
        house.check_out(sha, LFS)


def test_more_than_an_attempt_may_write_is_not_even_fetched(house: House) -> None:
    sha = large(house, "big.bin", b"x" * 2000)
    with pytest.raises(PermanentError, match="TURNOUT_DISK"):
        house.check_out(sha, LFS, most=1000)
    assert not [path for _, path, _ in house.served.seen if "lfs" in path]


@pytest.mark.parametrize("key", ["lfs.url", "remote.origin.lfsurl", "lfs.pushurl"])
def test_the_commits_own_lfs_settings_send_nobody_elsewhere(house: House, key: str, tmp_path: Path) -> None:
    with_lfs()
    elsewhere = Served(tmp_path / "nothing")
    with hosting(elsewhere) as url:
        section, _, name = key.rpartition(".")
        head_ = '[remote "origin"]' if section.startswith("remote") else "[lfs]"
        config = (
            f"{head_}\n\t{name} = {url}/shop.git/info/lfs\n[lfs]\n\tstandalonetransferagent = evil\n"
            f'[lfs "customtransfer.evil"]\n\tpath = touch\n\targs = {tmp_path}/ran\n'
            f'[lfs "{house.served.url}"]\n\taccess = none\n'
        )
        (house.origin("shop") / ".lfsconfig").write_text(config)
        sha = large(house, "big.bin", b"large")
        git(house.origin("shop"), "symbolic-ref", "HEAD", "refs/heads/main")
        tree = house.check_out(sha, LFS)
    assert (tree / "big.bin").read_bytes() == b"large"
    assert elsewhere.seen == []
    assert not (tmp_path / "ran").exists()


def test_a_link_in_the_place_of_a_pointer_is_left_alone(house: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 1\n")
    (house.origin("shop") / "link.bin").symlink_to(outside)
    sha = commit(house.origin("shop"), _dot_gitattributes="*.bin filter=lfs\n")
    assert (house.check_out(sha, LFS) / "link.bin").is_symlink()
    assert outside.read_text().startswith("version")


def test_lfs_of_a_submodule_is_asked_without_the_credential(house: House) -> None:
    with_lfs()
    lib = large(house, "big.bin", b"of the library", origin="lib")
    sha = link(house.origin("shop"), ("lib", "../lib.git", lib))
    tree = house.check_out(sha, CheckoutOptions(submodules="direct", lfs=True))
    assert (tree / "lib/big.bin").read_bytes() == b"of the library"
    assert house.served.credentials("/lib.git/info/lfs") == {""}


def test_a_folder_of_this_machine_gives_its_own_lfs_objects(tmp_path: Path) -> None:
    with_lfs()
    origin = tmp_path / "origin"
    repository(origin)
    content = b"local"
    oid = hashlib.sha256(content).hexdigest()
    place = origin / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    (origin / "big.bin").write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n")
    sha = commit(origin, _dot_gitattributes="*.bin filter=lfs\n")
    mirrors = Mirrors(tmp_path / "home")
    mirror = mirrors.of(str(origin))
    mirror.ensure(sha)
    mirror.checkout(sha, tmp_path / "tree")
    Extras(mirrors, mirror, LFS, True, None, print).add(sha, tmp_path / "tree")
    assert (tmp_path / "tree/big.bin").read_bytes() == content
