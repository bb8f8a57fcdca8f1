"""Trivy itself, in the sandbox, against a database made here."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.sdk.workspace import AgentError
from agents.security.agent import run
from local.trivy.database import write as write_database
from tests.agents.real_parts import Machine
from tests.agents.security.planted import AWS_KEY, DOCKERFILE, EVERYTHING, PYTHON, SECRET
from tests.agents.security.registry_stand_in import registry
from tests.agents.workspace import PlainWorkspace, SandboxedWorkspace, task, write
from turnout.core.model import Outcome
from turnout.core.result import Result

pytestmark = [pytest.mark.real, pytest.mark.timeout(300), pytest.mark.usefixtures("bubblewrap", "operator")]


def scan(workspace: SandboxedWorkspace | PlainWorkspace, **options: object) -> Result:
    return run(task("security", options), workspace)


def test_planted_vulnerabilities_secrets_and_misconfigurations_are_found(machine: Machine) -> None:
    workspace = machine.workspace("trivy-all", EVERYTHING)
    result = scan(workspace)
    assert result.outcome is Outcome.FAILURE
    assert result.findings is not None
    assert {(each.kind, each.rule, each.path) for each in result.findings.named} == {
        ("vulnerability", "CVE-2021-33503", "requirements.txt"),
        ("vulnerability", "CVE-2020-8203", "package-lock.json"),
        ("secret", "aws-access-key-id", "settings.py"),
        ("misconfiguration", "DS-0002", "Dockerfile"),
        ("misconfiguration", "DS-0026", "Dockerfile"),
    }
    assert AWS_KEY not in result.model_dump_json() + workspace.text
    assert AWS_KEY not in workspace.artifacts["security.sarif"].read_text()


def test_a_repository_with_nothing_to_be_found_is_a_success(machine: Machine) -> None:
    fixed = {"requirements.txt": "urllib3==1.26.5\n"}
    result = scan(machine.workspace("trivy-clean", fixed))
    assert (result.outcome, result.summary) == (Outcome.SUCCESS, "trivy found nothing")


def test_what_has_no_fix_does_not_count_where_only_fixable_things_do(machine: Machine) -> None:
    workspace = machine.workspace("trivy-fix", EVERYTHING)
    result = scan(workspace, scan=["dependencies"], only_fixable=True)
    assert result.summary == "trivy found 1 (1 high); 1 ignored"


def test_a_hostile_repository_cannot_switch_the_scan_off(machine: Machine) -> None:
    hostile = {
        ".trivyignore": "CVE-2021-33503\nDS-0002\naws-access-key-id\n",
        "trivy.yaml": "severity: [CRITICAL]\nscan:\n  skip-dirs: ['**']\n  scanners: [license]\n",
        "trivy-secret.yaml": "disable-rules: [aws-access-key-id]\n",
    }
    result = scan(machine.workspace("trivy-hostile", PYTHON | DOCKERFILE | SECRET | hostile))
    assert result.findings is not None
    rules = {each.rule for each in result.findings.named}
    assert rules >= {"CVE-2021-33503", "DS-0002", "aws-access-key-id"}


def test_files_that_are_skipped_are_not_looked_at(machine: Machine) -> None:
    workspace = machine.workspace("trivy-skip", SECRET | {"old/Dockerfile": DOCKERFILE["Dockerfile"]})
    result = scan(workspace, skip=["settings.py", "old"])
    assert result.summary == "trivy found nothing"


def test_a_file_that_is_no_database_is_an_error(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_database(tmp_path, datetime.now(UTC))
    (tmp_path / "db/trivy.db").write_bytes(b"no database" * 1000)
    tmp_path.chmod(0o755)
    monkeypatch.setenv("TURNOUT_TRIVY_DATABASE", str(tmp_path))
    with pytest.raises(AgentError, match=r"trivy could not scan the repository \(exit code 1\)"):
        scan(machine.workspace("trivy-broken", PYTHON))


def test_a_database_that_tools_cannot_read_is_an_error_and_the_log_says_why(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_database(tmp_path, datetime.now(UTC)).chmod(0o700)
    monkeypatch.setenv("TURNOUT_TRIVY_DATABASE", str(tmp_path))
    workspace = machine.workspace("trivy-closed", PYTHON)
    if os.getuid() == 0:  # otherwise tools run as this user
        with pytest.raises(AgentError, match=r"trivy could not scan the repository"):
            scan(workspace)
    else:
        scan(workspace)
    assert f"{tmp_path} is not readable for everybody" in workspace.text


def test_an_image_is_scanned_in_its_registry_by_its_digest(tmp_path: Path) -> None:
    """Without the sandbox: a tool's own network has no way to a registry on this machine's loopback."""
    metadata = "Metadata-Version: 2.1\nName: urllib3\nVersion: 1.26.4\n"
    place = "usr/lib/python3/site-packages/urllib3-1.26.4.dist-info/METADATA"
    files = {place: metadata, "etc/key": f'aws = "{AWS_KEY}"\n'}
    workspace = PlainWorkspace(tmp_path)
    write(workspace.path, {"README": "x\n"})
    with registry(files) as image:
        upstream = {"build": {"image": f"{image.name}:v1", "digest": image.digest}}
        result = run(task("security", {"scan": ["image"]}, upstream=upstream), workspace)
        assert result.outcome is Outcome.FAILURE
        assert result.findings is not None
        found = {(each.kind, each.rule, each.source, each.path) for each in result.findings.named}
        assert ("vulnerability", "CVE-2021-33503", "image", place) in found
        wrong = {"build": {"image": image.name, "digest": "sha256:" + "0" * 64}}
        with pytest.raises(AgentError, match=r"trivy could not scan the image .*TRIVY_USERNAME"):
            run(task("security", {"scan": ["image"]}, upstream=wrong), workspace)
