"""kaniko's own executor, in containers of a real Docker Engine, with a real registry on loopback."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from local.docker.daemon import Dockerd
from local.registry import server
from local.registry.server import PASSWORD, USER, Registry
from tests.agents.build.broken_registry import BreakingDoor
from tests.agents.build.registry_reading import config_of, digest_of_tag
from tests.agents.workspace import write
from tests.real import require

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[3]
SHOWN = ("/usr", "/etc/alternatives", "/etc/ssl")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
BASE = 'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
APP = """\
FROM {base} AS made
ARG GREETING
RUN echo "$GREETING" >/greeting && id -u >>/greeting
FROM {base} AS shipped
COPY --from=made /greeting /greeting
CMD ["cat", "/greeting"]
FROM shipped AS never
RUN false
"""


def executor() -> Path:
    """What the project's script has built; it need not be there."""
    script = ROOT / "local/setup/kaniko.sh"
    told = subprocess.run([script, "--where"], capture_output=True, text=True, check=True)
    return Path(told.stdout.strip())


@dataclass
class Yard:
    client: docker.APIClient
    registry: Registry
    folder: Path
    image: str
    base: str = ""

    def build(
        self,
        name: str,
        files: Mapping[str, str],
        options: Mapping[str, Any] | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
        again: str = "",
        cancel_at: str = "",
        caps: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """What the agent answers, in a container of its own; ``again``: what tells this one from the last. ``caps``:
        capabilities that are taken from the container."""
        place = self.folder / f"{name}{again}"
        write(place / "checkout", files)
        order = {
            "folder": str(place),
            "options": {
                "backend": "kaniko",
                "image": f"{self.registry.address}/{name}",
                "sbom": "none",
                **(options or {}),
            },
            "secrets": dict(secrets or {}),
            "sha": "1234567890ab" + "0" * 28,
            "cancel_at": cancel_at,
        }
        path = place / "order.json"
        path.write_text(json.dumps(order))
        pythons = {str(Path(each).resolve()) for each in (sys.prefix, sys.base_prefix)}
        seen = [*SHOWN, str(ROOT), *sorted(each for each in pythons if not each.startswith("/usr"))]
        made = self.client.create_container(
            self.image,
            [sys.executable, "-m", "tests.agents.build.kaniko_inside", str(path)],
            working_dir=str(ROOT),
            environment={
                "TURNOUT_KANIKO_EXECUTOR": str(executor()),
                "PATH": "/usr/local/bin:/usr/bin",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            host_config=self.client.create_host_config(
                network_mode="host",
                binds=[
                    *(f"{each}:{each}:ro" for each in dict.fromkeys(seen)),
                    f"{executor().parent}:{executor().parent}:ro",
                    f"{self.folder}:{self.folder}",
                ],
                cap_drop=list(caps),
            ),
        )
        try:
            self.client.start(made)
            self.client.wait(made, timeout=100)
            answer = path.with_suffix(".answer")
            assert answer.exists(), self.client.logs(made).decode()
            return dict(json.loads(answer.read_text()))
        finally:
            self.client.remove_container(made, force=True)


def an_empty_root() -> bytes:
    """An image with nothing in it but places for what a container is shown."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, target in LINKS.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name in ("usr", "etc", "tmp", "var", "root"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
    return packed.getvalue()


@pytest.fixture(scope="module")
def yard(dockerd: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    require("docker-registry", server.available(), server.INSTALL)
    require("kaniko's executor", executor().exists(), "make real-parts builds it")
    folder = tmp_path_factory.mktemp("kaniko")
    client = docker.APIClient(base_url=dockerd.host, version="auto", timeout=120)
    client.import_image_from_data(an_empty_root(), repository="turnout-test/empty", tag="1")
    with Registry() as registry:
        yard = Yard(client, registry, folder, "turnout-test/empty:1")
        (folder / "base" / "checkout").mkdir(parents=True)
        shutil.copy2(shutil.which("busybox") or "", folder / "base" / "checkout" / "busybox")
        made = yard.build("base", {"Dockerfile": BASE})
        assert made.get("result", {}).get("outcome") == "success", made
        assert made["same"], "the container's own root is as it was"
        yard.base = made["result"]["outputs"]["image"]
        yield yard
    client.close()


def test_an_image_is_built_pushed_under_every_tag_and_found_by_its_digest(yard: Yard) -> None:
    options = {"build_args": {"GREETING": "hello $USER"}, "target": "shipped", "tags": ["best"]}
    made = yard.build("app", {"Dockerfile": APP.format(base=yard.base)}, options)
    assert made["result"]["outcome"] == "success", made
    outputs = made["result"]["outputs"]
    assert outputs["tags"] == "1234567890ab,main,best"
    for tag in ("1234567890ab", "main", "best"):
        assert digest_of_tag(yard.registry, "app", tag) == outputs["digest"]
    config = config_of(yard.registry, "app", outputs["digest"])
    assert config["config"]["Cmd"] == ["cat", "/greeting"]
    assert config["config"]["Labels"]["org.opencontainers.image.revision"].startswith("1234567890ab")
    assert made["result"]["tools"] == {"kaniko": "1.24.0"}
    assert made["same"], "the container's own root is as it was"
    assert made["left"] == []
    assert "hello $USER" in made["log"]


def test_the_same_commit_gives_the_same_image(yard: Yard) -> None:
    files = {"Dockerfile": f"FROM {yard.base}\nCOPY a /a\nRUN echo b >/b\n", "a": "a\n"}
    digests = {yard.build("same", files, again=each)["result"]["outputs"]["digest"] for each in "12"}
    assert len(digests) == 1


def test_a_step_that_fails_is_the_codes_fault(yard: Yard) -> None:
    made = yard.build("fails", {"Dockerfile": f"FROM {yard.base}\nRUN echo why && exit 3\n"})
    assert made["result"]["outcome"] == "failure", made
    assert "exit status 3" in made["result"]["summary"]
    assert "why" in made["log"]


def test_a_dockerfile_that_is_none_is_the_codes_fault(yard: Yard) -> None:
    made = yard.build("none", {"Dockerfile": f"FROM {yard.base}\nRUNN echo\n"})
    assert made["result"]["outcome"] == "failure", made


def test_a_base_that_nobody_has_is_said(yard: Yard) -> None:
    made = yard.build("nobody", {"Dockerfile": f"FROM {yard.registry.address}/nobody:1\n"})
    assert made["error"] == "AgentError", made
    assert "FROM" in made["message"]


def test_a_registry_that_is_away_is_tried_again(yard: Yard) -> None:
    made = yard.build("away", {"Dockerfile": f"FROM {yard.base}\n"}, {"image": "127.0.0.1:1/away"})
    assert made["error"] == "TransientError", made


def test_a_registry_that_goes_away_in_mid_push_is_tried_again(yard: Yard) -> None:
    with BreakingDoor(yard.registry.port) as door:
        files = {"Dockerfile": f"FROM {yard.base}\nRUN echo a new layer >/a\n"}
        made = yard.build("breaks", files, {"image": f"{door.address}/breaks"})
    assert door.broken.is_set()
    assert made["error"] == "TransientError", made


def test_a_cancelled_build_ends_with_all_that_it_began(yard: Yard) -> None:
    files = {"Dockerfile": f"FROM {yard.base}\nRUN echo be''gun && sleep 300\n"}
    made = yard.build("cancelled", files, cancel_at="begun")
    assert made["error"] == "Stopped", made
    assert made["processes"] == []
    assert made["left"] == []


def test_credentials_of_the_stage_open_a_guarded_registry_and_are_shown_nowhere(yard: Yard) -> None:
    with Registry(guarded=True) as guarded:
        files = {"Dockerfile": f"FROM {yard.base}\nRUN echo a >/a\n"}
        options = {"image": f"{guarded.address}/kept"}
        refused = yard.build("kept", files, options, again="1")
        assert refused["error"] == "AgentError", refused
        assert "REGISTRY_USERNAME" in refused["message"]
        secrets = {"REGISTRY_USERNAME": USER, "REGISTRY_PASSWORD": PASSWORD}
        made = yard.build("kept", files, options, secrets=secrets, again="2")
        assert made["result"]["outcome"] == "success", made
        assert PASSWORD not in json.dumps(made)


def test_layers_are_kept_in_the_repository_that_is_named_for_them(yard: Yard) -> None:
    files = {"Dockerfile": f"FROM {yard.base}\nRUN echo a slow step && echo a >/a\n"}
    options = {"cache": f"{yard.registry.address}/layers"}
    first = yard.build("cached", files, options, again="1")
    second = yard.build("cached", files, options, again="2")
    assert "Using caching version of cmd" not in first["log"]
    assert "Using caching version of cmd" in second["log"], second["log"]
    assert first["result"]["outputs"]["digest"] == second["result"]["outputs"]["digest"]


def test_an_image_that_is_not_pushed_is_kept_as_an_archive(yard: Yard) -> None:
    made = yard.build(
        "kept-only", {"Dockerfile": f"FROM {yard.base}\nRUN echo a >/a\n"}, {"push": False, "archive": True}
    )
    assert [each["name"] for each in made["result"]["artifacts"]] == ["image.oci.tar"], made
    assert "digest" not in made["result"]["outputs"]
    (kept,) = (yard.folder / "kept-only" / "kept").iterdir()
    with tarfile.open(kept) as tar:
        names = set(tar.getnames())
        index = json.loads((tar.extractfile("index.json") or io.BytesIO()).read())
    assert "oci-layout" in names
    assert f"blobs/{index['manifests'][0]['digest'].replace(':', '/')}" in names


def test_without_the_right_to_change_roots_it_says_so(yard: Yard) -> None:
    made = yard.build("rights", {"Dockerfile": f"FROM {yard.base}\n"}, caps=("SYS_CHROOT",))
    assert "CAP_SYS_CHROOT" in made["message"], made
