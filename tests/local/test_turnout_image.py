"""The image of Turnout as it is run in earnest: a user of no rights, a root that can't be written to, no network."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.markers import Marker

from local.docker.daemon import Dockerd
from local.images import build, sbom
from local.images.labels import labels
from local.package.distributions import normal
from tests.agent_images import make_images
from tests.local.first_requests import ANSWERS, SETTINGS, First
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(600)  # the image is built first
USER = "10001"
HOLD = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
LIMITS = ("--memory=1g", "--pids-limit=256")
GRACE = 20
"""Seconds that the manual promises to be enough after SIGTERM."""
MOST = 530_000_000
"""Bytes; 507 MB when this was written, 128 of them Debian with Python."""
ELSEWHERE = {"python_version": "3.11", "python_full_version": "3.11.2"}
"""What the base has other than this interpreter."""
ASK = """
import json, sys, urllib.error, urllib.request
asked = json.load(sys.stdin)
body = asked["body"].encode() or (b"" if asked["method"] == "POST" else None)
request = urllib.request.Request(asked["url"], body, asked["headers"], method=asked["method"])
try:
    answer = urllib.request.urlopen(request, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(f"not yet: {error}")
print(json.dumps([answer.status, answer.read().decode()]))
"""
LOOK = """
import json, os, shutil, stat, sys
from importlib.util import find_spec
setuid, loose, plain, caches = [], [], [], []
for folder, folders, files in os.walk("/"):
    if os.path.ismount(folder) and folder != "/":
        folders.clear()
        continue
    for each in files:
        path = os.path.join(folder, each)
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            continue
        setuid += [path] if mode & 0o6000 else []
        loose += [path] if mode & stat.S_IWOTH else []
        compiled = os.path.join(folder, "__pycache__", each.removesuffix(".py") + ".cpython-311.pyc")
        if path.startswith("/opt/turnout/src/") and each.endswith(".py") and not os.path.exists(compiled):
            plain.append(path)
for each in ("/root/.cache", "/var/lib/apt/lists", "/var/cache/apt", "/tmp", "/var/tmp", "/home/turnout/.cache"):
    caches += [os.path.join(each, name) for name in (os.listdir(each) if os.path.isdir(each) else [])]
tools = [each for each in ("cc", "gcc", "make", "ld", "pip", "pip3", "curl", "sudo") if shutil.which(each)]
tools += [each for each in ("pip", "setuptools") if find_spec(each)]
print(json.dumps({"setuid": setuid, "loose": loose, "plain": plain, "caches": caches, "tools": tools}))
"""


class Image:
    """``home``: a folder that its containers may write to."""

    def __init__(self, dockerd: Dockerd, name: str, home: Path) -> None:
        self.environ = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **dockerd.environ}
        self.name = name
        self._home = home

    def docker(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],
            env=self.environ,
            input=said, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def run(self, *words: str) -> str:
        done = self.docker("run", "--rm", *self._how(), self.name, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, *words: str, **settings: str) -> Iterator[str]:
        """A container's id."""
        given = [f"--env={key}={value}" for key, value in settings.items()]
        started = self.docker("run", "--detach", *self._how(), *given, self.name, *words)
        assert started.returncode == 0, started.stderr
        container = started.stdout.strip()
        try:
            yield container
        finally:
            self.docker("rm", "--force", container)

    def ask(self, container: str, port: int, first: First) -> tuple[int, str]:
        """From within: it has no network. Waits until it listens."""
        asked = {"url": f"http://127.0.0.1:{port}{first.path}", **first._asdict()}

        def answered() -> str:
            done = self.docker(
                "exec", "--interactive", container, "python", "-c", ASK, said=json.dumps(asked)
            )
            assert done.stdout or "not yet" in done.stderr, done.stderr + self.logs(container)
            return done.stdout

        said = wait_until(answered, 60, f"an answer of {self.name}", poll=0.2)
        status, body = json.loads(said)
        return status, body

    def logs(self, container: str) -> str:
        said = self.docker("logs", container)
        return said.stdout + said.stderr

    def stop(self, container: str) -> tuple[float, int]:
        """How long it took after SIGTERM, in seconds, and the exit status; 137: it had to be killed."""
        began = time.monotonic()
        self.docker("stop", f"--time={GRACE}", container)
        took = time.monotonic() - began
        return took, int(self.docker("inspect", "--format={{.State.ExitCode}}", container).stdout)

    def written(self, container: str) -> list[str]:
        """What it changed of its root."""
        return [
            line for line in self.docker("diff", container).stdout.splitlines() if not line.endswith(" /tmp")
        ]

    def _how(self) -> list[str]:
        return [*HOLD, *LIMITS, f"--volume={self._home}:/mnt", "--env=TURNOUT_HOME=/mnt"]


@pytest.fixture(scope="module")
def image(dockerd: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Built, and its tables made as its user makes them."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o777)
    for each in home.parents:
        if each.stat().st_uid == 0 and each.is_relative_to("/tmp") and each != Path("/tmp"):
            each.chmod(each.stat().st_mode | 0o011)  # Docker's own user goes through it
    made = Image(dockerd, make_images(dockerd, ["turnout"])["turnout"], home)
    made.run("turnout", "migrate")
    return made


def test_it_runs_as_a_user_of_no_rights_and_says_its_version(image: Image) -> None:
    uid, gid, version = image.run("sh", "-c", "id -u; id -g; turnout --version").splitlines()
    assert (uid, gid) == (USER, USER)
    assert version.startswith("turnout ")


def test_migrating_again_changes_nothing(image: Image) -> None:
    image.run("turnout", "migrate")


def test_nothing_is_in_it_that_serves_an_intruder_or_nobody(image: Image) -> None:
    done = image.docker("run", "--rm", "--network=none", "--user=0", image.name, "python", "-c", LOOK)
    assert json.loads(done.stdout) == {"setuid": [], "loose": [], "plain": [], "caches": [], "tools": []}
    size = int(image.docker("image", "inspect", "--format={{.Size}}", image.name).stdout)
    assert size < MOST


def test_what_it_was_built_with_stays_out_of_it(image: Image) -> None:
    history = image.docker("history", "--no-trunc", "--format={{.CreatedBy}}", image.name).stdout
    (config,) = json.loads(image.docker("image", "inspect", image.name).stdout)
    assert "compileall" not in history, "it is the last stage alone"
    for secret in ("PIP_INDEX_URL", "PROXY", "proxy", "@"):
        assert secret not in history
        assert secret not in json.dumps(config["Config"]["Env"])
    assert config["Config"]["User"] == f"{USER}:{USER}"


def test_its_bill_of_materials_has_all_that_is_locked_and_nothing_else(image: Image, tmp_path: Path) -> None:
    bill = json.loads(sbom.write(image.name, "docker", "turnout", image.environ, tmp_path).read_text())
    within = "opt/turnout/lib/"
    found = {
        (normal(each["name"]), each["version"])
        for each in bill["components"]
        for about in each.get("properties", [])
        if about["name"].endswith("FilePath") and about["value"].startswith(within)
    }
    lock = (build.ROOT / "requirements.txt").read_text()
    locked = {
        (normal(name), version)
        for name, version, marker in re.findall(
            r"^([\w.-]+)(?:\[.*?\])?==([\w.!+-]+)([^\n\\]*)", lock, re.MULTILINE
        )
        if Marker(marker.partition(";")[2].strip() or "python_version > '3'").evaluate(ELSEWHERE)
    }
    assert found == locked
    assert "bubblewrap" in {each["name"] for each in bill["components"]}


def test_its_labels_say_what_it_is_and_of_which_commit(image: Image) -> None:
    said = json.loads(image.docker("image", "inspect", "--format={{json .Config.Labels}}", image.name).stdout)
    commit = build.read_commit()
    wanted = labels(commit, "turnout", build.ROOT / "local/images/turnout/Dockerfile")
    assert {name.rpartition(".")[2] for name in said} >= {
        "description",
        "licenses",
        "revision",
        "title",
        "version",
    }
    constant = {each for each in wanted if not each.endswith((".created", ".revision", ".version"))}
    assert {each: said[each] for each in constant} == {each: wanted[each] for each in constant}


def test_the_dispatcher_tells_its_health_and_ends_within_its_grace(image: Image) -> None:
    urls = json.dumps(dict.fromkeys(("orchestrator", "reporter", "sweeper"), "http://127.0.0.1:1"))
    with image.running("turnout", "dispatcher", PORT="8080", TURNOUT_FUNCTION_URLS=urls) as container:
        wait_until(
            lambda: image.ask(container, 8080, First("GET", "/healthz", {}, "", 200, "ok")) == (200, "ok\n"),
            30,
        )
        took, status = image.stop(container)
        assert (took < GRACE, status) == (True, 0), image.logs(container)
        assert image.written(container) == []


@pytest.mark.parametrize("function", sorted(ANSWERS))
def test_each_function_answers_from_it_and_ends_within_its_grace(image: Image, function: str) -> None:
    serve = ("functions-framework", "--source", f"functions/{function}/main.py", "--target", function)
    with image.running(*serve, "--port", "8080", **SETTINGS) as container:
        status, body = image.ask(container, 8080, ANSWERS[function])
        assert (status, ANSWERS[function].said in body) == (ANSWERS[function].status, True), body
        took, code = image.stop(container)
        assert (took < GRACE, code) == (True, 0), image.logs(container)
        assert image.written(container) == []
