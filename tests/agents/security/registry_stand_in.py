"""A registry that holds one image: what Trivy asks of it is read-only.

Source: OCI Distribution Specification 1.1 (pulling); OCI Image Format Specification 1.1.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TYPE = "application/vnd.oci.image"


@dataclass(frozen=True, slots=True)
class Image:
    """``name`` with the registry's address in front, without a tag."""

    name: str
    digest: str


@contextmanager
def registry(files: Mapping[str, str]) -> Iterator[Image]:
    """Holds an image of one layer with these files, on a port of its own of this machine only."""
    blobs: dict[str, tuple[bytes, str]] = {}

    def kept(content: bytes, kind: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blobs[digest] = (content, f"{_TYPE}.{kind}")
        return {"mediaType": f"{_TYPE}.{kind}", "digest": digest, "size": len(content)}

    layer = _layer(files)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "a test"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}.manifest.v1+json",
        "config": kept(json.dumps(config).encode(), "config.v1+json"),
        "layers": [kept(gzip.compress(layer, mtime=0), "layer.v1.tar+gzip")],
    }
    digest = str(kept(json.dumps(manifest).encode(), "manifest.v1+json")["digest"])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            content, kind = b"{}", "application/json"
            status = 200 if self.path.rstrip("/") == "/v2" else 404
            if (wanted := self.path.rpartition("/")[2]) in blobs:
                status, (content, kind) = 200, blobs[wanted]
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_GET = do_HEAD = _serve

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield Image(f"127.0.0.1:{server.server_port}/shop", digest)
        finally:
            server.shutdown()
            thread.join()


def _layer(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()
