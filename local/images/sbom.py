"""Bills of materials of built images, in CycloneDX, by Trivy: beside them in a folder, and with them in a registry.

In a registry it is an artifact of its own that names the image as its subject, at the tag ``sha256-<digest>.sbom``.
Source: the OCI image specification 1.1, manifest.md (artifacts, ``subject``); skopeo-copy(1).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from agents.build.sbom import MEDIA_TYPE, NAME, reading
from turnout.core.errors import PermanentError

ROOT = Path(__file__).resolve().parents[2]
INTO = ROOT / "build" / "sbom"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
HOW = "local/setup/scanners.sh --trivy fetches it; or set TURNOUT_TRIVY=PATH"
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1)(:\d+)?/")


def find_trivy(environ: Mapping[str, str]) -> str:
    """Raises: PermanentError where there is none."""
    scanners = [str(ROOT / "local/setup/scanners.sh"), "--where"]
    kept = subprocess.run(scanners, capture_output=True, text=True, check=True).stdout.strip()
    found = environ.get("TURNOUT_TRIVY") or shutil.which("trivy") or shutil.which("trivy", path=kept)
    if not found:
        raise PermanentError("there is no Trivy, which reads what is in an image", HOW)
    return found


def write(
    image: str,
    engine: Literal["docker", "buildah"],
    title: str,
    environ: Mapping[str, str],
    into: Path = INTO,
) -> Path:
    """The file. ``title``: it is named for. Raises: PermanentError."""
    trivy = find_trivy(environ)
    into.mkdir(parents=True, exist_ok=True)
    written = into / f"{title}.{NAME.partition('.')[2]}"
    with tempfile.TemporaryDirectory(prefix="turnout-sbom-") as folder:
        archive = Path(folder, "image.tar")
        match engine:
            case "docker":
                _must(["docker", "save", "--output", str(archive), image], environ)
            case "buildah":
                _must(["buildah", "push", "--quiet", image, f"docker-archive:{archive}"], environ)
        _must(reading(trivy, archive, written, Path(folder, "cache")), environ)
    return written


def attach(image: str, bill: Path, environ: Mapping[str, str]) -> str:
    """The name that the bill has in the image's registry; empty: there is no skopeo, which would take it there.

    Raises: PermanentError.
    """
    if not shutil.which("skopeo"):
        return ""
    plain = bool(_LOOPBACK.match(image))
    shown = _must(
        ["skopeo", "inspect", "--raw", f"--tls-verify={str(not plain).lower()}", f"docker://{image}"], environ
    )
    digest = hashlib.sha256(shown).hexdigest()
    subject = {
        "mediaType": json.loads(shown).get("mediaType", MANIFEST),
        "digest": f"sha256:{digest}",
        "size": len(shown),
    }
    name = f"{image.rpartition(':')[0]}:sha256-{digest}.sbom"
    with tempfile.TemporaryDirectory(prefix="turnout-sbom-") as folder:
        _layout(Path(folder), bill.read_bytes(), subject)
        copy = ["skopeo", "copy", "--quiet", f"--dest-tls-verify={str(not plain).lower()}"]
        _must([*copy, f"oci:{folder}:sbom", f"docker://{name}"], environ)
    return name


def _layout(folder: Path, bill: bytes, subject: Mapping[str, object]) -> None:
    def kept(content: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": MEDIA_TYPE,
        "config": kept(b"{}", EMPTY),
        "layers": [kept(bill, MEDIA_TYPE)],
        "subject": subject,
    }
    listed = kept(json.dumps(manifest).encode(), MANIFEST)
    listed |= {"annotations": {"org.opencontainers.image.ref.name": "sbom"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _must(argv: Sequence[str], environ: Mapping[str, str]) -> bytes:
    done = subprocess.run(argv, capture_output=True, env=dict(environ), check=False)
    if done.returncode != 0:
        raise PermanentError(f"{argv[0]} {argv[1]} failed", done.stderr.decode(errors="replace")[-1000:])
    return done.stdout
