"""An image to begin others with, pushed over the registry's HTTP API: where nothing can be pulled from elsewhere.

Source: OCI Image Format Specification 1.1, OCI Distribution Specification 1.1.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import tarfile
from pathlib import Path
from typing import Any

import httpx

from local.registry.server import Registry

LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
APPLETS = (
    "sh",
    "cat",
    "echo",
    "ls",
    "sleep",
    "test",
    "true",
    "false",
    "mkdir",
    "chmod",
    "chown",
    "env",
    "id",
)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def push_base(registry: Registry, name: str = "base") -> str:
    """Push an image that has busybox, where this machine has it, and return its name with its tag.

    Raises: httpx.HTTPError.
    """
    layer = _layer()
    config = json.dumps(
        {
            "architecture": _MACHINES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [{"created_by": "local.registry.base"}],  # buildah counts layers by it
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": _digest(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": _digest(layer), "size": len(layer)}],
    }
    with httpx.Client(base_url=f"http://{registry.address}/v2/{name}", trust_env=False) as client:
        for blob in (layer, config):
            begun = client.post("/blobs/uploads/").raise_for_status()
            place = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": _digest(blob)})
            client.put(place, content=blob).raise_for_status()
        headers = {"Content-Type": MANIFEST}
        client.put("/manifests/1", content=json.dumps(manifest).encode(), headers=headers).raise_for_status()
    return f"{registry.address}/{name}:1"


def _layer() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("bin", "etc", "tmp"):
            _add(tar, folder, type=tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        if busybox := shutil.which("busybox"):
            _add(tar, "bin/busybox", Path(busybox).read_bytes(), mode=0o755)
            for applet in APPLETS:
                _add(tar, f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox")
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes = b"", **fields: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    for field, value in fields.items():
        setattr(entry, field, value)
    tar.addfile(entry, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
