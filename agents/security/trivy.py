"""Running Trivy: over the checkout, and over the image that a stage before this one has built.

It is told to read no configuration, ignore list or module of the repository: what does not count stands in the pipeline
file, with a reason and a day. Exit codes: 0 it has done its work (found something or not), else it has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agents.sdk.operator_paths import TRIVY
from agents.sdk.sarif import ToolFindings
from agents.sdk.toolchain import read_json
from agents.sdk.workspace import AgentError, Workspace
from agents.security import trivy_report
from agents.security.manifests import unread
from agents.security.scanning import Asked, Scanned, bounded, ended
from agents.security.trivy_database import Known, vulnerability_database
from turnout.core.result import Finding

_SCANNERS = {"dependencies": "vuln", "configuration": "misconfig", "secrets": "secret"}
_OWN_FILES = ("trivy.yaml", ".trivyignore", ".trivyignore.yaml", "trivy-secret.yaml")


def run_trivy(workspace: Workspace, asked: Asked) -> Scanned:
    """Raises: AgentError when Trivy or its database is not there, or it did not do its work."""
    trivy = asked.operator.get(TRIVY) or workspace.which("trivy")
    if trivy is None:
        raise AgentError(
            "there is no trivy where this stage runs",
            f"install Trivy (https://trivy.dev), or give the agents {TRIVY}=PATH",
        )
    if there := [name for name in _OWN_FILES if (asked.root / name).exists()]:
        workspace.log(
            f"{', '.join(there)}: not read; accept findings with with.ignore, leave files out with with.skip"
        )
    found: list[Finding] = []
    remarks: list[str] = []
    version = ""
    scanners = [_SCANNERS[each] for each in asked.scans if each in _SCANNERS]
    with _database(workspace, asked, trivy) as known:
        if known.remark:
            remarks.append(known.remark)
        if scanners:
            report = _scan(workspace, asked, [trivy, "fs", *_options(asked, known, scanners)], ".")
            found += report.findings
            version = report.version
            if "dependencies" in asked.scans and (missed := unread(asked.root, report.ecosystems)):
                raise AgentError(
                    f"trivy could not read the dependencies that {missed} names: there is no lock file of them",
                    "commit one (uv.lock, poetry.lock, requirements.txt; package-lock.json, pnpm-lock.yaml, "
                    "yarn.lock), or leave `dependencies` out of with.scan",
                )
            if "dependencies" in asked.scans:
                remarks.append(f"{report.packages} packages of {report.files} dependency files were checked")
        if "image" in asked.scans:
            argv = [trivy, "image", "--image-src", "remote", *_options(asked, known, ["vuln", "secret"])]
            report = _scan(workspace, asked, argv, asked.image, source="image")
            found += report.findings
            version = report.version
            remarks.append(f"the image was checked: {report.packages} packages")
    findings = bounded("trivy", found)
    helps = {each.rule: each.url for each in findings if each.url}
    return Scanned(ToolFindings("trivy", version, findings, "https://trivy.dev", helps), tuple(remarks))


@contextmanager
def _database(workspace: Workspace, asked: Asked, trivy: str) -> Iterator[Known]:
    if "dependencies" in asked.scans or "image" in asked.scans:
        with vulnerability_database(workspace, asked, trivy) as known:
            yield known
    else:
        yield Known(workspace.scratch / "trivy")


def _options(asked: Asked, known: Known, scanners: Sequence[str]) -> list[str]:
    options = ["--scanners", ",".join(scanners), "--format", "json", "--cache-dir", str(known.folder)]
    options += ["--cache-backend", "memory", "--config", "", "--ignorefile", "", "--secret-config", ""]
    options += ["--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--skip-version-check"]
    options += ["--offline-scan", "--disable-telemetry", "--no-progress", "--exit-code", "0"]
    options += ["--timeout", f"{asked.options.time_limit + 60:.0f}s"]  # ours comes first, and is told apart
    if asked.options.dev_dependencies:
        options.append("--include-dev-deps")
    for path in asked.options.skip:
        options += ["--skip-dirs", path, "--skip-files", path]
    return options


def _scan(
    workspace: Workspace, asked: Asked, argv: Sequence[str], target: str, source: str = ""
) -> trivy_report.Report:
    path = workspace.scratch / "trivy.json"
    path.unlink(missing_ok=True)
    ran = workspace.run(
        [*argv, "--output", str(path), "--", target],
        cwd=asked.cwd,
        timeout=asked.options.time_limit,
        network=source == "image",
    )
    ended("trivy", ran, asked.options.time_limit)
    if ran.code != 0:
        what = f"the image {target}" if source else "the repository"
        hint = "see the log for its words" + (
            "; for a private registry name TRIVY_USERNAME and TRIVY_PASSWORD among the stage's secrets"
            if source
            else ""
        )
        raise AgentError(f"trivy could not scan {what} (exit code {ran.code})", hint)
    return trivy_report.read(read_json(path.parent, path.name), asked.cwd, source)
