"""Deploying manifests and kustomizations by server-side apply.

The manifests are rendered by kustomize, from an overlay in a folder of ours that sets the image, and go to the server
as kustomize has written them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from agents.deploy import objects, rollout
from agents.deploy.cluster import READ, WRITE, Cluster, kubectl_version
from agents.deploy.complaints import Refused, complaint, last_words
from agents.deploy.discovery import KUSTOMIZATION, files_of
from agents.deploy.engine import PutBack, Rendered, Standing
from agents.deploy.images import Image, kustomization
from agents.deploy.objects import Id, Object
from agents.deploy.options import ImageOptions, KubectlOptions
from agents.deploy.record import (
    KEPT,
    RELEASE,
    Named,
    Record,
    deployed,
    name_of,
    packed,
    unpacked,
)
from agents.sdk.toolchain import open_folder, put
from agents.sdk.workspace import AgentError
from turnout.core.durations import format_duration
from turnout.core.messages import TaskRequested

MANAGER = "turnout"
KEPT_KINDS = ("Namespace", "CustomResourceDefinition", "PersistentVolumeClaim")
"""Never deleted on the way back: what is in them would go with them."""


class KubectlEngine:
    name = "kubectl"
    manager = MANAGER

    def __init__(
        self,
        cluster: Cluster,
        task: TaskRequested,
        asked: KubectlOptions,
        root: Path,
        image: tuple[Image, ImageOptions] | None,
        timeout: float,
    ) -> None:
        self.release = asked.release
        self.force = asked.force_conflicts
        self._cluster, self._task, self._asked, self._root = cluster, task, asked, root
        self._image = image
        self._timeout = timeout
        self._before: Record | None = None
        self._now: Record | None = None
        self.tools = {"kubectl": kubectl_version(cluster)}

    # --- what is there ----------------------------------------------------------------------------

    def stand(self) -> Standing:
        records = self._records()
        if records and records[-1].status == "pending":
            self._repair(records[-1])
            records = self._records()
        last = deployed(records)
        if last is not None and last.is_of(self._task):
            self._now = last
            self._before = next((each for each in records if each.revision == last.before), None)
            return Standing(str(last.before or ""), str(last.revision))
        self._before = last
        return Standing(str(last.revision) if last else "")

    def _records(self) -> tuple[Record, ...]:
        return unpacked(self._cluster.get("secrets", f"--selector={RELEASE}={self.release}"))

    def _repair(self, half: Record) -> None:
        log = self._cluster.workspace.log
        log(f"revision {half.revision} of {self.release} is pending: its deploy was ended in between")
        back = self._restore(half)
        self._save(half.with_(status="failed"))
        log(f"repaired: {back.said}")

    def _save(self, record: Record) -> None:
        path = self._cluster.write("record.json", json.dumps(packed(record, self.release)))
        ran = self._cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "--filename", str(path),
            timeout=WRITE, checked=False,
        )  # fmt: skip
        if ran.code != 0:
            said = ran.stderr.decode(errors="replace")
            self._check_namespace(said)
            raise AgentError(f"the deploy cannot be recorded in the cluster: {last_words(said)}")

    def _check_namespace(self, said: str) -> None:
        if complaint(said) == "no namespace":
            raise AgentError(
                f"there is no namespace {self._cluster.namespace}",
                "make it, or say with.kubectl.create_namespace: true",
            )

    # --- what is to be ----------------------------------------------------------------------------

    def render(self) -> Rendered:
        self._namespace()
        overlay = open_folder(self._cluster.workspace.scratch / "overlay")
        image, wanted = self._image or (None, ImageOptions())
        resources = [os.path.relpath(self._root / each, overlay) for each in self._sources()]
        made = kustomization(resources, image, wanted)
        put(overlay / "kustomization.yaml", json.dumps(made))
        ran = self._cluster.run(
            "kubectl",
            ("kustomize", str(overlay), "--load-restrictor", "LoadRestrictionsNone"),
            timeout=WRITE,
            online=False,
            checked=False,
        )
        if ran.code != 0:
            raise Refused(
                f"kustomize cannot make the manifests: {last_words(ran.stderr.decode(errors='replace'), 500)}"
            )
        text = ran.stdout.decode(errors="replace")
        found = objects.read(text, "what kustomize has made")
        if not found:
            raise Refused("there is nothing in the manifests")
        return Rendered(self._cluster.write("manifests.yaml", text), text, found, found)

    def _sources(self) -> list[str]:
        if self._asked.kustomize is not None:
            return [self._asked.kustomize]
        found = [
            each
            for each in files_of(self._asked.manifests, self._root)
            if Path(each).name not in KUSTOMIZATION
        ]
        if not found:
            raise AgentError("with.kubectl.manifests: there are no files *.yaml, *.yml or *.json in them")
        return found

    def _namespace(self) -> None:
        if not self._asked.create_namespace:
            return
        name = self._cluster.namespace
        if not self._cluster.get("namespace", name):
            self._cluster.run("kubectl", ("create", "namespace", name), quiet=False)

    # --- doing it ---------------------------------------------------------------------------------

    def apply(self, rendered: Rendered, live: Sequence[Object]) -> str:
        planned = self._planned(rendered, live)
        self._save(planned)
        self._now = planned
        ran = self._apply(rendered.file, force=self.force)
        if ran:
            return ran
        return rollout.wait(self._cluster, objects.workloads(rendered.objects), self._timeout)

    def _planned(self, rendered: Rendered, live: Sequence[Object]) -> Record:
        """The revision that is about to be, with the way back from it."""
        here = self._cluster.namespace
        there = {objects.placed(objects.identity(each), here): each for each in live}
        wanted = [objects.placed(objects.identity(each), here) for each in rendered.objects]
        before = self._before
        known = objects.read(before.manifests, "the last revision's record") if before else ()
        ours = {objects.placed(objects.identity(each), here) for each in known}
        adopted = [objects.cleaned(there[each]) for each in wanted if each in there and each not in ours]
        restore = [before.manifests] if before else []
        restore += [json.dumps(each) for each in adopted]
        created = [each for each in wanted if each not in there and each not in ours]
        return Record(
            revision=max((each.revision for each in self._records()), default=0) + 1,
            status="pending",
            run=self._task.run,
            task=self._task.task,
            attempt=self._task.attempt,
            before=before.revision if before else 0,
            manifests=rendered.text,
            restore="\n---\n".join(restore),
            created=tuple(
                Named(kind=each.kind, name=each.name, namespace=each.namespace, group=each.group)
                for each in created
            ),
        )

    def _apply(self, manifests: Path, *, force: bool) -> str:
        ran = self._cluster.kubectl(
            "apply", "--server-side", f"--field-manager={MANAGER}", *(["--force-conflicts"] if force else []),
            "--filename", str(manifests), timeout=WRITE, quiet=False, checked=False,
        )  # fmt: skip
        for line in ran.stdout.decode(errors="replace").splitlines():
            self._cluster.workspace.log(line)
        if ran.code == 0:
            return ""
        if ran.timed_out:
            return f"kubectl apply had not ended after {format_duration(WRITE)}"
        said = ran.stderr.decode(errors="replace")
        self._check_namespace(said)
        return f"the cluster does not take the manifests: {last_words(said)}"

    def settle(self, rendered: Rendered) -> tuple[str, tuple[Id, ...]]:
        assert self._now is not None
        deleted: tuple[Id, ...] = ()
        if self._asked.prune and self._before is not None and self._now.status == "pending":
            deleted = self._gone(self._before, rendered.objects)
            self._cluster.delete(deleted)
        if self._now.status == "pending":
            self._save(self._now.with_(status="deployed"))
            if self._before is not None:
                self._save(self._before.with_(status="superseded"))
            self._forget()
        return str(self._now.revision), deleted

    def _gone(self, before: Record, wanted: Sequence[Object]) -> tuple[Id, ...]:
        here = self._cluster.namespace
        kept = {objects.placed(objects.identity(each), here) for each in wanted}
        had = objects.read(before.manifests, "the last revision's record")
        ids = [objects.placed(objects.identity(each), here) for each in had]
        return tuple(each for each in ids if each not in kept and each.kind not in KEPT_KINDS)

    def _forget(self) -> None:
        old = [each for each in self._records() if each.status != "deployed"][:-KEPT]
        self._cluster.delete([Id("Secret", name_of(self.release, each.revision)) for each in old])

    # --- going back -------------------------------------------------------------------------------

    def put_back(self, wait: float) -> PutBack:
        if self._now is None:
            return PutBack("nothing had been changed")
        back = self._restore(self._now, wait)
        if not back.failed:
            self._save(self._now.with_(status="failed" if self._now.status == "pending" else "rolled back"))
            if self._before is not None:
                self._save(self._before.with_(status="deployed"))
        return back

    def take_back(self, revision: str, before: str) -> PutBack:
        records = self._records()
        found = next((each for each in records if str(each.revision) == revision), None)
        if found is None:
            raise AgentError(f"revision {revision} of {self.release} is not remembered in the cluster")
        if found.status in ("rolled back", "failed"):
            return PutBack(f"revision {revision} had been rolled back already")
        last = deployed(records)
        if found.status != "pending" and (last is None or last.revision != found.revision):
            raise AgentError(
                f"revision {last.revision if last else '?'} of {self.release} has come after {revision}: "
                "it is left as it is",
                "deploy what is wanted anew",
            )
        self._now = found
        self._before = next((each for each in records if str(each.revision) == before), None)
        return self.put_back(self._timeout)

    def _restore(self, record: Record, wait: float = 0.0) -> PutBack:
        """Apply what was, delete what was not."""
        went: list[str] = []
        restored = objects.read(record.restore, "the way back")
        if restored:
            path = self._cluster.write("restore.yaml", record.restore)
            if problem := self._apply(path, force=True):
                return PutBack(f"rolling back failed: {problem}", failed=True)
            went.append(
                f"revision {record.before} was applied again"
                if record.before
                else f"{len(restored)} objects were given back what they had"
            )
        created = [each.id for each in record.created if each.kind not in KEPT_KINDS]
        left = [each.id for each in record.created if each.kind in KEPT_KINDS]
        if created:
            self._cluster.delete(created)
            went.append(f"{len(created)} new objects were deleted ({_some(created)})")
        if left:
            went.append(f"left as they are: {_some(left)}")
        until = time.monotonic() + wait
        workloads = objects.workloads(restored)
        if wait and workloads:
            problem = rollout.wait(self._cluster, workloads, max(READ / 10, until - time.monotonic()))
            if problem:
                return PutBack(f"{'; '.join(went)}; but {problem}", failed=True)
        said = "; ".join(went) or "nothing had been changed"
        return PutBack(f"rolled back to revision {record.before}: {said}" if record.before else said)


def _some(ids: Sequence[Id]) -> str:
    return ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
