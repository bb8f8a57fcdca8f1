"""checkov over Terraform, a plan, Dockerfiles, the chart, workflows: nothing is found but what has its reason."""

from __future__ import annotations

import itertools
import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.cluster import program
from tests.infra.chart import EXAMPLES, RELEASE, helm
from tests.infra.places import ROOT
from tests.infra.scans import CONFIG, Finding, Scan, scan, tree
from tests.real import require

EXCUSED = yaml.safe_load((ROOT / "infra" / "excused.yaml").read_text())
CHART = "infra/helm/turnout-agents"
RENDERED = "rendered-chart"
pytestmark = pytest.mark.timeout(300)  # half a minute on two cores that do nothing else


def test_what_is_excused_everywhere_has_its_reason_above_it() -> None:
    lines = CONFIG.read_text().partition("skip-check:\n")[2].splitlines()
    reasons = [line for line in lines if line.strip().startswith("#")]
    checks = [line for line in lines if line.strip().startswith("- ")]
    assert checks
    assert all(len(line) > 40 for line in reasons)
    assert lines[0] in reasons
    for above, line in itertools.pairwise(lines):
        if line in checks:
            assert above in reasons or above in checks, line


def test_what_is_excused_in_the_chart_has_its_reason() -> None:
    assert all({*each} == {"check", "of", "why"} and len(each["why"]) > 20 for each in EXCUSED)


def excuse(found: Finding) -> Any:
    for each in EXCUSED:
        if each["check"] == found.check and fnmatchcase(found.of, each["of"]):
            return each
    return None


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """All files, and the chart as Helm renders it with each of its examples."""
    require("Helm", program("helm").exists(), "run `make real-parts`")
    files = tree(tmp_path_factory.mktemp("scanned"))
    for values in EXAMPLES:
        made = helm("template", RELEASE, str(ROOT / CHART), "--namespace", RELEASE, "--values", str(values))
        assert made.returncode == 0, made.stderr
        place = files / RENDERED / values.name
        place.parent.mkdir(exist_ok=True)
        place.write_text(made.stdout)
    return scan(files)


@pytest.mark.real
def test_nothing_is_found_but_what_has_its_reason(scanned: Scan) -> None:
    excused = [(found, excuse(found)) for found in scanned.failed]
    assert [found for found, reason in excused if reason is None] == []
    assert [each for each in EXCUSED if each not in [reason for _, reason in excused]] == [], (
        "no longer needed"
    )
    for skipped in scanned.skipped:
        assert len(skipped.why) > 20, f"{skipped.file}: say why {skipped.check} is skipped"


@pytest.mark.real
def test_all_of_it_was_read(scanned: Scan) -> None:
    files = scanned.files()
    understood = {
        file
        for place in ("agents", "local/images")
        for file in (str(each.relative_to(ROOT)) for each in (ROOT / place).rglob("*Dockerfile"))
    }
    understood |= {f"{RENDERED}/{each.name}" for each in EXAMPLES}
    understood |= {str(each.relative_to(ROOT)) for each in (ROOT / ".github" / "workflows").glob("*.yml")}
    # of the others' resources checkov knows nothing
    modules = ("artifacts", "function", "network", "secrets", "state", "turnout", "agent_jobs", "kafka")
    assert understood <= files
    known = {
        module for module in modules if any(f"infra/terraform/modules/{module}/" in each for each in files)
    }
    assert known >= {"artifacts", "function", "network", "state"}, known
    assert len(scanned.passed) > 1000


@pytest.mark.real
def test_a_plan_with_its_resolved_values_has_no_other_findings(
    prod: dict[str, Any], scanned: Scan, tmp_path: Path
) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(prod))
    planned = scan(tmp_path / "plan.json")
    # a comment beside a resource is in no plan
    meant = {(each.check, re.sub(r"\[.*?\]", "", each.of)) for each in scanned.skipped}
    found = {(each.check, re.sub(r"\[.*?\]", "", each.of)) for each in planned.failed}
    assert found <= meant
    assert len(planned.passed) > 100


PLANTED = {
    "bucket.tf": (
        """
        resource "google_storage_bucket_iam_member" "all" {
          bucket = "turnout-artifacts"
          role   = "roles/storage.objectViewer"
          member = "allUsers"
        }
        resource "google_compute_firewall" "open" {
          name          = "open"
          network       = "turnout"
          source_ranges = ["0.0.0.0/0"]
          allow {
            protocol = "tcp"
            ports    = ["22"]
          }
        }
        """,
        {"CKV_GCP_28", "CKV_GCP_2"},
    ),
    "Dockerfile": ("FROM python:3.11-slim-bookworm\nCOPY . /app\n", {"CKV_DOCKER_3"}),
    "pod.yaml": (
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: planted, namespace: turnout}
        spec:
          hostPID: true
          containers:
            - {name: one, image: "turnout:1", securityContext: {privileged: true}}
        """,
        {"CKV_K8S_16", "CKV_K8S_17"},
    ),
    ".github/workflows/planted.yml": (
        """
        on: issues
        jobs:
          one:
            runs-on: ubuntu-latest
            steps:
              - run: echo "${{ github.event.issue.title }}"
        """,
        {"CKV_GHA_2"},
    ),
}


@pytest.mark.real
def test_planted_holes_are_found_by_the_same_command(tmp_path: Path) -> None:
    for name, (text, _) in PLANTED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {(each.file, each.check) for each in scan(tmp_path).failed}
    wanted = {(name, check) for name, (_, checks) in PLANTED.items() for check in checks}
    assert wanted <= found
