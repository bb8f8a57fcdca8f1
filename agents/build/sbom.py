"""The image's bill of materials, in CycloneDX: made by Trivy, in the sandbox, from the image's archive."""

from __future__ import annotations

import tarfile
from pathlib import Path

from agents.sdk.inside import read_inside
from agents.sdk.operator_paths import TRIVY, operator_settings
from agents.sdk.untar import untar
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.strict_json import read_json
from turnout.runtimes.sandbox_files import remove_tree

NAME = "sbom.cdx.json"
MEDIA_TYPE = "application/vnd.cyclonedx+json"
TIME_LIMIT = 300.0  # seconds
HOW = f"install Trivy (https://trivy.dev), or give the agents {TRIVY}=PATH"


def maker(workspace: Workspace) -> str:
    """The program's path; empty: there is none."""
    return operator_settings().get(TRIVY) or workspace.which("trivy") or ""


def reading(trivy: str, image: Path, written: Path, cache: Path) -> list[str]:
    """Trivy's command line: it asks nobody."""
    return [
        trivy, "image", "--input", str(image), "--format", "cyclonedx", "--output", str(written),
        "--cache-dir", str(cache), "--cache-backend", "memory", "--config", "",
        "--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--skip-version-check",
        "--offline-scan", "--disable-telemetry", "--no-progress",
    ]  # fmt: skip


def bill_of_materials(workspace: Workspace, trivy: str, archive: Path) -> tuple[bytes, int]:
    """The document, and how many components it names. ``archive``: of OCI's, or of Docker's. Raises: AgentError."""
    unpacked = workspace.scratch / "image"
    try:
        return _made(workspace, trivy, _readable(archive, unpacked))
    finally:
        remove_tree(unpacked)


def _readable(archive: Path, unpacked: Path) -> Path:
    """As Trivy takes it: an OCI layout as a folder, what `docker save` writes as a file."""
    with tarfile.open(archive) as content:
        if "oci-layout" not in content.getnames() or "manifest.json" in content.getnames():
            return archive
        untar(content, unpacked)
    for folder in (unpacked, *(each for each in unpacked.rglob("*") if each.is_dir())):
        folder.chmod(0o755)
    return unpacked


def _made(workspace: Workspace, trivy: str, image: Path) -> tuple[bytes, int]:
    written = workspace.scratch / NAME
    written.unlink(missing_ok=True)
    argv = reading(trivy, image, written, workspace.scratch / "trivy")
    ran = workspace.run(argv, timeout=TIME_LIMIT, network=False, secrets=(), quiet=True)
    if not ran.ok:
        raise AgentError("trivy could not read what is in the image", "see the log for its words")
    content = read_inside(workspace.scratch, NAME)
    try:
        document = read_json(content or b"")
        components = document.get("components") or []
        if document["bomFormat"] != "CycloneDX" or not isinstance(components, list):
            raise ValueError("no CycloneDX")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise AgentError("trivy wrote no bill of materials that can be read", "see the log") from error
    assert content is not None
    return content, len(components)
