"""What is in an image: its bill of materials, its archive, and what the security agent finds in the registry."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from agents.build.agent import run
from agents.sdk.workspace import AgentError
from agents.security.agent import run as scan
from tests.agents.build.conftest import Yard
from tests.agents.security.conftest import database, operator, scanners
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.model import Outcome

__all__ = ["database", "operator", "scanners"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PLACE = "usr/lib/python3/site-packages/urllib3-1.26.4.dist-info/METADATA"
METADATA = "Metadata-Version: 2.1\nName: urllib3\nVersion: 1.26.4\n"
FILES = {"Dockerfile": f"FROM scratch\nCOPY METADATA /{PLACE}\n", "METADATA": METADATA}


def test_an_image_that_was_built_here_is_scanned_in_the_registry_by_its_digest(
    yard: Yard, operator: Path, tmp_path: Path
) -> None:
    asked, workspace = yard.workspace("vulnerable", FILES, {"sbom": "required"})
    built = run(asked, workspace)
    assert built.outcome is Outcome.SUCCESS
    document = json.loads(workspace.artifacts["sbom.cdx.json"].read_bytes())
    assert document["bomFormat"] == "CycloneDX"
    assert [(each["name"], each["version"]) for each in document["components"]] == [("urllib3", "1.26.4")]
    scanning = PlainWorkspace(
        tmp_path
    )  # a tool's own network has no way to a registry on this machine's loopback
    write(scanning.path, {"README": "x\n"})
    found = scan(task("security", {"scan": ["image"]}, upstream={"build": dict(built.outputs)}), scanning)
    assert found.outcome is Outcome.FAILURE
    assert found.findings is not None
    assert {(each.rule, each.path) for each in found.findings.named} == {("CVE-2021-33503", PLACE)}


def test_an_image_that_is_not_pushed_is_kept_as_an_archive(yard: Yard) -> None:
    asked, workspace = yard.workspace("archived", FILES, {"push": False, "archive": True})
    result = run(asked, workspace)
    assert result.outcome is Outcome.SUCCESS
    assert "digest" not in result.outputs
    with tarfile.open(workspace.artifacts["image.oci.tar"]) as archive:
        assert {"oci-layout", "index.json"} <= set(archive.getnames())
    assert not list(workspace.scratch.rglob("*.tar"))


def test_a_bill_of_materials_that_is_required_and_cannot_be_made_is_an_error(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.build.sbom.maker", lambda _: "")
    with pytest.raises(AgentError, match=r"with\.sbom.*TURNOUT_TRIVY"):
        yard.build("nobill", FILES, {"sbom": "required"})
