"""A bill of materials goes to the registry as an artifact that names its image."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import httpx
import pytest

from agents.build.sbom import MEDIA_TYPE
from local.images import sbom
from local.registry import base, server
from local.registry.server import Registry
from tests.real import require


@pytest.mark.real
def test_a_bill_lies_in_the_registry_and_names_its_image(tmp_path: Path) -> None:
    require("a registry", server.available(), server.INSTALL)
    require("skopeo", bool(shutil.which("skopeo")), "make real-parts installs it")
    bill = tmp_path / "base.cdx.json"
    bill.write_text('{"bomFormat": "CycloneDX"}')
    with Registry() as registry:
        image = base.push_base(registry)
        name = sbom.attach(image, bill, os.environ)
        with httpx.Client(base_url=f"http://{registry.address}/v2/base", trust_env=False) as client:
            accept = {"Accept": sbom.MANIFEST}
            manifest = client.get("/manifests/1", headers=accept).content
            digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
            assert name == f"{registry.address}/base:{digest.replace(':', '-')}.sbom"
            found = client.get(f"/manifests/{name.rpartition(':')[2]}", headers=accept).json()
            assert found["subject"] == {"mediaType": sbom.MANIFEST, "digest": digest, "size": len(manifest)}
            assert (found["artifactType"], found["layers"][0]["mediaType"]) == (MEDIA_TYPE, MEDIA_TYPE)
            assert client.get(f"/blobs/{found['layers'][0]['digest']}").content == bill.read_bytes()
