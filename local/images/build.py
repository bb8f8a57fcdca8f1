"""Builds the images of Turnout and of the agents from what is committed, with docker or buildah:
``python -m local.images.build``.

Labels and files bear the commit's time, so that the same commit says the same of itself.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from local.images import sbom
from local.images.labels import Commit, labels
from turnout.core.errors import PermanentError

Engine = Literal["docker", "buildah"]
ROOT = Path(__file__).resolve().parents[2]
SHARED = ("sdk", "node")
"""Stages of ``agents/sdk/Dockerfile`` that the agents' images stand on, in the order of building."""
ITSELF = "turnout"
"""The image of Turnout: dispatcher, functions, resident agents."""
SOURCES = ("agents", "functions", "local/images/turnout", "pyproject.toml", "requirements.txt", "turnout")
"""What the images are made of."""
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
LOST = ("COPY failed: lstat", "failed to copy file")
"""What the classic builder of Docker 20.10 says now and then on a busy machine, of a file that it has just written. All
that was made so far stays: it goes on from there."""
TRIES = 4
_DAEMON_WITHIN = 10  # seconds


@dataclass(frozen=True)
class Asked:
    """``registry``: what stands before the images' names, with its ``/``; empty: nothing. ``tag`` empty: the commit's.

    ``ca``: a file of certificates to trust besides. ``network`` of the builds, empty: the engine's usual one.
    ``snapshot``: of Debian's packages, as snapshot.debian.org names it; empty: today's. ``fresh``: from nothing.
    ``bills``: of materials, too.
    """

    engine: Engine
    registry: str = ""
    tag: str = ""
    base: str = ""
    snapshot: str = ""
    ca: Path | None = None
    network: str = ""
    push: bool = False
    fresh: bool = False
    bills: bool = False
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Image:
    """One to be built. ``stage``: of its Dockerfile, empty: the last one."""

    kind: str
    dockerfile: str
    stage: str = ""
    needs: tuple[str, ...] = field(default=())


def agents(root: Path = ROOT) -> tuple[str, ...]:
    """The kinds that have a Dockerfile."""
    found = sorted(each.parent.name for each in (root / "agents").glob("*/Dockerfile"))
    return tuple(each for each in found if each != "sdk")


def images(only: Sequence[str], root: Path = ROOT) -> tuple[Image, ...]:
    """What is to be built, in order; empty: all. Raises: PermanentError for one that has no image."""
    known = agents(root)
    if unknown := sorted(set(only) - {*known, *SHARED, ITSELF}):
        raise PermanentError(
            f"no image for {', '.join(unknown)}", f"there are {', '.join((ITSELF, *SHARED, *known))}"
        )
    chosen = [each for each in known if not only or each in only]
    made = [
        Image(each, f"agents/{each}/Dockerfile", needs=_needs(root / f"agents/{each}/Dockerfile"))
        for each in chosen
    ]
    wanted = {need for image in made for need in image.needs} | {each for each in only if each in SHARED}
    if "node" in wanted:
        wanted.add("sdk")
    shared = [Image(each, "agents/sdk/Dockerfile", each) for each in SHARED if each in wanted]
    itself = [Image(ITSELF, "local/images/turnout/Dockerfile")] if not only or ITSELF in only else []
    return (*shared, *made, *itself)


def _needs(dockerfile: Path) -> tuple[str, ...]:
    """Which of the shared ones it names in its ``ARG`` lines."""
    lines = dockerfile.read_text().splitlines()
    return tuple(each for each in SHARED if any(line.startswith(f"ARG {each.upper()}=") for line in lines))


def name_of(kind: str, asked: Asked, tag: str) -> str:
    return f"{asked.registry}{title_of(kind)}:{tag}"


def title_of(kind: str) -> str:
    return ITSELF if kind == ITSELF else f"turnout-{kind}"


def command(
    image: Image, asked: Asked, commit: Commit, context: Path, environ: Mapping[str, str]
) -> list[str]:
    """The command line that builds it."""
    tag = asked.tag or commit.tag
    arguments = {each.upper(): name_of(each, asked, tag) for each in image.needs}
    if asked.base:
        arguments["BASE"] = asked.base
    if asked.snapshot:
        arguments["SNAPSHOT"] = asked.snapshot
    named = [each for each in (*PROXIES, "PIP_INDEX_URL") if environ.get(each)]
    argv: list[str]
    match asked.engine:
        case "docker":
            argv = ["docker", "build", "--quiet"]
        case "buildah":  # Docker's own format would hold a random id of each step's container
            argv = ["buildah", "build", "--quiet", "--layers", "--format=oci"]
            argv += [f"--timestamp={commit.seconds}"]
    argv += ["--file", str(context / image.dockerfile), "--tag", name_of(image.kind, asked, tag)]
    argv += ["--target", image.stage] if image.stage else []
    argv += [f"--network={asked.network}"] if asked.network else []
    argv += ["--no-cache"] if asked.fresh else []
    for key, value in arguments.items():
        argv += ["--build-arg", f"{key}={value}"]
    for key in named:  # by name: a value may hold a password, and others see command lines
        argv += ["--build-arg", key]
    said = labels(commit, title_of(image.kind), context / image.dockerfile, asked.base)
    for key, value in said.items():
        argv += ["--label", f"{key}={value}"]
    return [*argv, str(context)]


def read_commit(root: Path = ROOT) -> Commit:
    """Raises: PermanentError outside a checkout."""
    said = _git(root, "log", "-1", "--format=%H %ct").split()
    changed = bool(_git(root, "status", "--porcelain", "--", *SOURCES))
    source = _git(root, "config", "--get", "remote.origin.url", needed=False).strip()
    public = source.startswith("https://") and "@" not in source  # a clone's address may hold a token
    return Commit(said[0], int(said[1]), changed, source if public else "")


def stage(into: Path, commit: Commit, ca: Path | None, root: Path = ROOT) -> None:
    """The context of the builds: what git knows of what they are made of, at the commit's time."""
    for name in _git(root, "ls-files", "-z", "--", *SOURCES).split("\0"):
        if not name or not (root / name).is_file():
            continue
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target)
        target.chmod(0o755 if os.access(root / name, os.X_OK) else 0o644)
    if ca is not None:
        shutil.copyfile(ca, into / "agents/sdk/company-ca.crt")
    for folder, _, files in os.walk(into):
        for each in (folder, *(os.path.join(folder, file) for file in files)):
            os.utime(each, (commit.seconds, commit.seconds))


def find_engine(given: str, environ: Mapping[str, str] = os.environ) -> Engine:
    """``given``: ``docker``, ``buildah``, or empty: the first that can build here. Raises: PermanentError."""
    path = environ.get("PATH")
    if given in ("", "docker") and shutil.which("docker", path=path):
        asked = ["docker", "version", "--format", "{{.Server.Version}}"]
        try:
            there = subprocess.run(
                asked, capture_output=True, env=dict(environ), timeout=_DAEMON_WITHIN, check=False
            )
            if there.returncode == 0:
                return "docker"
        except subprocess.TimeoutExpired:
            pass
    if given in ("", "buildah") and shutil.which("buildah", path=path):
        return "buildah"
    if given not in ("", "docker", "buildah"):
        raise PermanentError(f"ENGINE={given} is not known", "use docker or buildah")
    missing = (
        f"{given} does not work here"
        if given
        else "neither docker (with its engine running) nor buildah is here"
    )
    raise PermanentError(missing, "install one of them; on Debian: apt-get install buildah")


def build(asked: Asked, environ: Mapping[str, str] = os.environ) -> None:
    """Raises: PermanentError with the end of what the engine said."""
    commit = read_commit()
    tag = asked.tag or commit.tag
    chosen = images(asked.only)
    given = dict(environ)
    if asked.engine == "docker" and _run(["docker", "buildx", "version"], given).returncode != 0:
        given["DOCKER_BUILDKIT"] = "0"  # the client would refuse to build at all
    with tempfile.TemporaryDirectory(prefix="turnout-images-") as folder:
        context = Path(folder)
        stage(context, commit, asked.ca)
        for image in chosen:
            began = time.monotonic()
            name = name_of(image.kind, asked, tag)
            argv = command(image, asked, commit, context, given)
            for _ in range(TRIES):
                done = _run(argv, given)
                if not any(each in done.stdout + done.stderr for each in LOST):
                    break
            _must(done, name)
            took = time.monotonic() - began
            print(f"{name}  {_seen(asked.engine, name, given)}  {took:5.1f} s", flush=True)
    bills = {}
    for image in chosen if asked.bills else ():
        name = name_of(image.kind, asked, tag)
        bills[image.kind] = sbom.write(name, asked.engine, title_of(image.kind), given)
    if bills:
        print(f"what is in them: {sbom.INTO}")
    for image in chosen if asked.push else ():
        name = name_of(image.kind, asked, tag)
        _must(_run([asked.engine, "push", name], given), name)
        print(f"pushed {name}", flush=True)
        if image.kind in bills:
            bill = sbom.attach(name, bills[image.kind], given)
            print(
                f"pushed {bill}" if bill else "its bill of materials stays here: install skopeo", flush=True
            )
    if any(image.kind != ITSELF for image in chosen):
        print(f"To use them: TURNOUT_AGENT_IMAGES={name_of('{agent}', asked, tag)}")


def _seen(engine: Engine, name: str, environ: Mapping[str, str]) -> str:
    """Its size, and the beginning of its id, which the same content has again."""
    match engine:
        case "docker":
            form = ["docker", "image", "inspect", "--format", "{{.Size}} {{.Id}}", name]
        case "buildah":
            form = ["buildah", "images", "--no-trunc", "--format", "{{.Size}} {{.ID}}", name]
    size, _, id_ = _run(form, environ).stdout.strip().rpartition(" ")
    shown = f"{int(size) / 1e6:.0f} MB" if size.isdecimal() else size or "?"
    return f"{shown:>8}  {id_.rpartition(':')[2][:12]}"


def _must(done: subprocess.CompletedProcess[str], name: str) -> None:
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()[-20:]
        raise PermanentError(f"{name} could not be made", "the end of what was said:\n" + "\n".join(lines))


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, env=dict(environ), check=False)


def _git(root: Path, *arguments: str, needed: bool = True) -> str:
    done = _run(["git", "-C", str(root), *arguments], os.environ)
    if done.returncode != 0 and needed:
        raise PermanentError(f"git {arguments[0]}: {done.stderr.strip()}", "build from a checkout")
    return done.stdout


def read_arguments(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Asked:
    """Raises: PermanentError."""
    parser = argparse.ArgumentParser(
        prog="make images", description="Build the images of Turnout and of its agents."
    )
    parser.add_argument("--engine", default="", help="docker or buildah; by default what is there")
    parser.add_argument(
        "--registry", default="", help="what stands before the names: registry.example.org/team"
    )
    parser.add_argument("--tag", default="", help="by default the commit")
    parser.add_argument("--base", default="", help="the image that all stand on")
    parser.add_argument("--snapshot", default="", help="a moment of snapshot.debian.org: 20261101T000000Z")
    parser.add_argument("--ca", default="", help="a file of certificates to trust besides")
    parser.add_argument("--network", default="", help="of the builds")
    parser.add_argument("--push", default="", help="1: push them")
    parser.add_argument("--fresh", default="", help="1: make every layer anew")
    parser.add_argument("--only", default="", help="these agents, or turnout, separated by blanks or commas")
    given = parser.parse_args(argv)
    if given.ca and not Path(given.ca).is_file():
        raise PermanentError(f"CA={given.ca}: there is no such file")
    if given.snapshot and not re.fullmatch(r"\d{8}T\d{6}Z", given.snapshot):
        raise PermanentError(f"SNAPSHOT={given.snapshot}: expected a moment", "like 20261101T000000Z")
    if given.push not in ("", "0", "1"):
        raise PermanentError(f"PUSH={given.push}: expected 1")
    if given.push == "1" and not given.registry:
        raise PermanentError("PUSH=1: pushed where?", "say REGISTRY=registry.example.org/team")
    return Asked(
        engine=find_engine(given.engine, environ),
        registry=f"{given.registry.rstrip('/')}/" if given.registry else "",
        tag=given.tag,
        base=given.base,
        snapshot=given.snapshot,
        ca=Path(given.ca) if given.ca else None,
        network=given.network,
        push=given.push == "1",
        fresh=given.fresh == "1",
        bills=True,
        only=tuple(given.only.replace(",", " ").split()),
    )


def main(argv: Sequence[str]) -> int:
    try:
        build(read_arguments(argv))
    except PermanentError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
