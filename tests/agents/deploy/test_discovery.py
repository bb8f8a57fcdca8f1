from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.deploy.discovery import chosen, files_of, slug
from agents.deploy.options import DeployOptions, HelmOptions, KubectlOptions
from agents.sdk.options import read_options
from agents.sdk.workspace import AgentError
from tests.agents.deploy.shop import CHART, kustomization, manifests
from tests.agents.workspace import write


def look(root: Path, environment: str = "staging", **options: Any) -> HelmOptions | KubectlOptions:
    return chosen(read_options(DeployOptions, options), root, environment, "team/Shop_App")


def test_a_chart_is_found_and_the_release_bears_the_repositorys_name(tmp_path: Path) -> None:
    write(tmp_path, CHART)
    found = look(tmp_path)
    assert isinstance(found, HelmOptions)
    assert (found.chart, found.release) == ("deploy/chart", "shop-app")


@pytest.mark.parametrize(
    "place", ["Chart.yaml", "chart/Chart.yaml", "charts/shop/Chart.yaml", "deploy/x/Chart.yaml"]
)
def test_charts_are_looked_for_where_they_usually_are(tmp_path: Path, place: str) -> None:
    write(tmp_path, {place: "name: x"})
    found = look(tmp_path)
    assert isinstance(found, HelmOptions)
    assert found.chart == (str(Path(place).parent))


def test_of_several_charts_one_has_to_be_named(tmp_path: Path) -> None:
    write(tmp_path, {"charts/a/Chart.yaml": "", "charts/b/Chart.yaml": ""})
    with pytest.raises(AgentError, match=r"several charts: charts/a, charts/b"):
        look(tmp_path)
    found = look(tmp_path, helm={"chart": "charts/b"})
    assert isinstance(found, HelmOptions)
    assert found.chart == "charts/b"


def test_an_overlay_of_the_environment_comes_before_its_base(tmp_path: Path) -> None:
    write(tmp_path, kustomization())
    found = look(tmp_path)
    assert isinstance(found, KubectlOptions)
    assert found.kustomize == "deploy/overlays/staging"
    other = look(tmp_path, environment="production")
    assert isinstance(other, KubectlOptions)
    assert other.kustomize == "deploy/base"


def test_manifests_are_found_at_last(tmp_path: Path) -> None:
    write(tmp_path, manifests())
    found = look(tmp_path)
    assert isinstance(found, KubectlOptions)
    assert found.manifests == ("k8s",)
    assert list(files_of(found.manifests, tmp_path)) == ["k8s/config.yaml", "k8s/deployment.yaml"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is nothing to deploy: .*Chart.yaml.*k8s"),
        ({"helm": {}}, r"with.helm.chart: there is no Chart.yaml"),
        ({"helm": {"chart": "elsewhere"}}, r"with.helm.chart: there is no elsewhere/Chart.yaml"),
        ({"kubectl": {"manifests": ["a", "b"]}}, r"with.kubectl.manifests\[0\]: there is no a"),
        ({"kubectl": {"kustomize": "k"}}, r"with.kubectl.kustomize: there is no kustomization.yaml in k"),
        ({"helm": {}, "kubectl": {}}, "expected `helm` or `kubectl`, not both"),
        ({"kubectl": {"manifests": "a", "kustomize": "b"}}, "expected `manifests` or `kustomize`"),
        ({"helm": {"chart": "../up"}}, "inside the repository"),
        ({"helm": {"release": "Not A Name"}}, "small letters"),
        ({"helm": {"set": {"a b": 1}}}, "image.tag"),
        ({"verify": {}}, "expected `url` or `command`"),
        ({"verify": {"url": "file:///etc/passwd"}}, "expected an address"),
        ({"verify": {"url": "https://user:word@x.org"}}, "without a user in it"),
        ({"timeout": 5}, "expected a duration"),
        ({"hlem": {}}, "did you mean 'helm'"),
        ({"image": True}, "with.image"),
    ],
)
def test_what_cannot_be_done_is_named_where_it_stands(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(AgentError, match=message):
        look(tmp_path, **options)


def test_a_values_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path, CHART)
    with pytest.raises(AgentError, match=r"with.helm.values\[1\]: there is no file prod.yaml"):
        look(tmp_path, helm={"values": ["deploy/chart/values.yaml", "prod.yaml"]})


@pytest.mark.parametrize(
    ("name", "release"), [("team/shop", "shop"), ("A_b.C", "a-b-c"), ("x" * 80, "x" * 53), ("///", "release")]
)
def test_a_release_is_named_as_kubernetes_wants_it(name: str, release: str) -> None:
    assert slug(name) == release
