"""What is to be deployed: as ``with:`` says, otherwise what the repository shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from agents.deploy.options import DeployOptions, HelmOptions, KubectlOptions
from agents.sdk.workspace import AgentError

CHARTS = ("deploy/chart", "deploy/helm", "deploy", "chart", "charts", "helm", ".")
KUSTOMIZATIONS = ("deploy", "k8s", "kubernetes", "kustomize", "deploy/base", "k8s/base", ".")
MANIFESTS = ("deploy/k8s", "deploy/kubernetes", "deploy", "k8s", "kubernetes", "manifests")
KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_SUFFIXES = (".yaml", ".yml", ".json")
MOST_FILES = 500

_SAY = "say what with `with: {helm: {chart: …}}` or `with: {kubectl: {manifests: […]}}`"


def chosen(options: DeployOptions, root: Path, environment: str, name: str) -> HelmOptions | KubectlOptions:
    """With folder and release filled in. ``name``: of the repository.

    Raises: AgentError when there is nothing to deploy, more than one thing, or not what ``with:`` names.
    """
    if options.helm is not None:
        return _helm(options.helm, root, name)
    if options.kubectl is not None:
        return _kubectl(options.kubectl, root, environment, name)
    charts = list(_charts(root))
    if len(charts) > 1:
        raise AgentError(f"with: there are several charts: {', '.join(charts)}", _SAY)
    if charts:
        return _helm(HelmOptions(chart=charts[0]), root, name)
    return _kubectl(KubectlOptions(), root, environment, name)


def _helm(asked: HelmOptions, root: Path, name: str) -> HelmOptions:
    chart = asked.chart
    if not chart or (chart == "." and not (root / "Chart.yaml").is_file()):
        charts = list(_charts(root))
        if len(charts) != 1:
            there = f"there are {', '.join(charts)}" if charts else "there is no Chart.yaml in the repository"
            raise AgentError(f"with.helm.chart: {there}", "name the chart's folder")
        chart = charts[0]
    elif not (root / chart / "Chart.yaml").is_file():
        raise AgentError(f"with.helm.chart: there is no {chart}/Chart.yaml in the repository")
    for index, each in enumerate(asked.values):
        if not (root / each).is_file():
            raise AgentError(f"with.helm.values[{index}]: there is no file {each} in the repository")
    return asked.with_(chart=chart, release=asked.release or slug(name))


def _kubectl(asked: KubectlOptions, root: Path, environment: str, name: str) -> KubectlOptions:
    asked = asked.with_(release=asked.release or slug(name))
    if asked.kustomize is not None:
        if not _has_kustomization(root / asked.kustomize):
            raise AgentError(
                f"with.kubectl.kustomize: there is no kustomization.yaml in {asked.kustomize} of the repository"
            )
        return asked
    if asked.manifests:
        for index, each in enumerate(asked.manifests):
            if not (root / each).exists():
                raise AgentError(f"with.kubectl.manifests[{index}]: there is no {each} in the repository")
        return asked
    for place in _kustomizations(environment):
        if _has_kustomization(root / place):
            return asked.with_(kustomize=place)
    for place in MANIFESTS:
        if (root / place).is_dir() and list(files_of((place,), root)):
            return asked.with_(manifests=(place,))
    looked = ", ".join(dict.fromkeys((*CHARTS[:-1], *KUSTOMIZATIONS[:-1], *MANIFESTS)))
    raise AgentError(
        f"with: there is nothing to deploy: no Chart.yaml, kustomization.yaml or manifests in {looked}", _SAY
    )


def _kustomizations(environment: str) -> Iterator[str]:
    """An overlay of the environment first."""
    if environment:
        for place in KUSTOMIZATIONS[:-1]:
            yield f"{place}/overlays/{environment}"
    yield from KUSTOMIZATIONS


def _charts(root: Path) -> Iterator[str]:
    for place in CHARTS:
        if (root / place / "Chart.yaml").is_file():
            yield place
        if place in ("charts", "deploy") and (root / place).is_dir():
            for each in sorted((root / place).iterdir()):
                if (each / "Chart.yaml").is_file() and f"{place}/{each.name}" not in CHARTS:
                    yield f"{place}/{each.name}"


def _has_kustomization(folder: Path) -> bool:
    return any((folder / name).is_file() for name in KUSTOMIZATION)


def files_of(places: tuple[str, ...], root: Path) -> Iterator[str]:
    """The manifests' files, in the order of ``places``, then of their names. Raises: AgentError for too many."""
    found = 0
    for place in places:
        path = root / place
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for each in inside:
            if (path.is_dir() and each.suffix not in _SUFFIXES) or not each.is_file():
                continue
            found += 1
            if found > MOST_FILES:
                raise AgentError(
                    f"with.kubectl.manifests: more than {MOST_FILES} files", "name fewer of them"
                )
            yield each.relative_to(root).as_posix()


def slug(name: str) -> str:
    """A release's name of what people call something."""
    text = re.sub(r"[^a-z0-9]+", "-", name.rpartition("/")[2].lower()).strip("-")
    return text[:53].rstrip("-") or "release"
