"""Deploys with kubectl, remembered in the cluster as Helm does: one Secret a revision, beside what it deployed.

It holds what was applied and the way back, so that another process, on another machine, can go that way.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError

from agents.deploy.objects import Id, Object
from agents.sdk.workspace import AgentError
from turnout.core.messages import TaskRequested
from turnout.core.model import Value

Status = Literal["pending", "deployed", "superseded", "failed", "rolled back"]
RELEASE, REVISION = "turnout.dev/release", "turnout.dev/revision"
KIND = "turnout.dev/release.v1"
KEPT = 10
LARGEST = 1_000_000  # bytes; the server takes no Secret of more than 1 MiB
MOST_INSIDE = 64 * 1024 * 1024  # bytes, unpacked


class Named(Value):
    """`Id`, to be kept."""

    kind: str
    name: str
    namespace: str = ""
    group: str = ""

    @property
    def id(self) -> Id:
        return Id(self.kind, self.name, self.namespace, self.group)


class Record(Value):
    """``manifests``: what was applied. ``restore``: what is to be applied to go back; ``created``: what is then to be
    deleted. ``before``: the revision that this one came after, 0: none."""

    revision: int
    status: Status
    run: str
    task: str
    attempt: str
    before: int = 0
    manifests: str = Field(repr=False)
    restore: str = Field(default="", repr=False)
    created: tuple[Named, ...] = ()

    def is_of(self, task: TaskRequested) -> bool:
        return self.run == task.run and self.task == task.task


def name_of(release: str, revision: int) -> str:
    return f"turnout.v1.{release}.v{revision}"


def packed(record: Record, release: str) -> Object:
    """As the Secret that keeps it. Raises: AgentError when it is too large for one."""
    content = base64.b64encode(gzip.compress(record.model_dump_json().encode(), mtime=0)).decode()
    if len(content) > LARGEST:
        raise AgentError(
            f"the manifests and the way back have {len(content)} bytes, packed; the cluster keeps {LARGEST}",
            "deploy them in several stages",
        )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": KIND,
        "metadata": {
            "name": name_of(release, record.revision),
            "labels": {
                "app.kubernetes.io/managed-by": "turnout",
                RELEASE: release,
                REVISION: str(record.revision),
                "turnout.dev/status": record.status.replace(" ", "-"),
            },
        },
        "data": {"record": content},
    }


def unpacked(secrets: Sequence[Object]) -> tuple[Record, ...]:
    """Oldest first. Raises: AgentError for one that cannot be read."""
    found = []
    for each in secrets:
        if each.get("type") != KIND:
            continue
        try:
            found.append(Record.model_validate(_content(each)))
        except (LookupError, TypeError, ValueError, ValidationError, zlib.error, EOFError) as error:
            raise AgentError(
                f"the record {each['metadata']['name']} in the cluster cannot be read",
                "look who has changed it, and delete it",
            ) from error
    return tuple(sorted(found, key=lambda each: each.revision))


def _content(secret: Object) -> Any:
    try:
        raw = base64.b64decode(secret["data"]["record"], validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
    unpacking = zlib.decompressobj(wbits=31)
    content = unpacking.decompress(raw, MOST_INSIDE)
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise ValueError("too large, or cut short")
    return json.loads(content)


def deployed(records: Sequence[Record]) -> Record | None:
    """The one that stands now; None: there is none."""
    return next((each for each in reversed(records) if each.status == "deployed"), None)
