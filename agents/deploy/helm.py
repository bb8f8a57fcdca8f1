"""Deploying a chart. Going back is done here, not by Helm itself (``--atomic``, ``--rollback-on-failure``): so the
result says what was done, and it also happens when the check afterwards fails, or a cancel comes in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.deploy import objects, revisions
from agents.deploy.cluster import READ, WRITE, Cluster, read_text
from agents.deploy.complaints import Refused, complaint, last_words
from agents.deploy.engine import PutBack, Rendered, Standing
from agents.deploy.images import Image, chart_values, has, put
from agents.deploy.objects import Id, Object
from agents.deploy.options import HelmOptions, ImageOptions
from agents.deploy.revisions import Revision
from agents.sdk.workspace import AgentError, ToolRun
from turnout.core.durations import format_duration
from turnout.core.errors import TransientError
from turnout.core.messages import TaskRequested

LABEL = "turnout"
HISTORY = 20
OLDEST = (3, 13)
"""The first with labels of a release, and with a dry run that asks the server."""
SLACK = 60.0  # seconds beyond its own time limit, after which helm is ended


class HelmEngine:
    name = "helm"

    def __init__(
        self,
        cluster: Cluster,
        task: TaskRequested,
        asked: HelmOptions,
        root: Path,
        image: tuple[Image, ImageOptions] | None,
        timeout: float,
    ) -> None:
        self.release = asked.release
        self.force = True
        self._cluster, self._task, self._asked, self._root = cluster, task, asked, root
        self._image = image
        self._timeout = timeout
        self._standing = Standing()
        self._version = self._read_version()
        self.manager = "helm"
        self.tools = {"helm": self._version}
        self._values: list[str] = []

    def _read_version(self) -> str:
        ran = self._cluster.run("helm", ("version", "--template", "{{.Version}}"), online=False)
        found = re.match(rb"v?((\d+)\.(\d+)\.\d+)", ran.stdout)
        if found is None or (int(found[2]), int(found[3])) < OLDEST:
            raise AgentError(
                f"helm says that it is {ran.stdout[:40].decode(errors='replace')!r}",
                "install Helm 3 (3.13 or newer) or 4",
            )
        return found[1].decode()

    # --- what is there ----------------------------------------------------------------------------

    def stand(self) -> Standing:
        history = self._history()
        if history and history[-1].pending:
            self._repair(history)
            history = self._history()
        done = revisions.mine(history, self._task)
        if done is not None:
            before = revisions.good(history, done.number)
            self._standing = Standing(str(before or ""), str(done.number))
        else:
            self._standing = Standing(str(revisions.good(history) or ""))
        return self._standing

    def _history(self) -> tuple[Revision, ...]:
        ran = self._cluster.helm(
            "history", self.release, "--max", str(HISTORY), "--output", "json", checked=False
        )
        said = ran.stderr.decode(errors="replace")
        if ran.code != 0 and complaint(said) == "not found":
            return ()
        if ran.code != 0:
            raise AgentError(f"helm's history cannot be read: {last_words(said)}")
        return revisions.read_history(ran.stdout)

    def _repair(self, history: Sequence[Revision]) -> None:
        """Raises: TransientError where somebody may still be at work."""
        last = history[-1]
        age = (datetime.now(UTC) - last.updated).total_seconds() if last.updated else self._timeout + SLACK
        if not self._is_ours(last) and age < self._timeout + SLACK:
            raise TransientError(
                f"somebody else's helm is at work on {self.release}: revision {last.number} has been "
                f"{last.status} for {format_duration(max(1.0, round(age)))}",
                "wait for it; what is dead is repaired once it is older than the stage's with.timeout",
            )
        log = self._cluster.workspace.log
        log(f"revision {last.number} of {self.release} is {last.status}: its helm was ended in between")
        good = revisions.good(history)
        if good is None:
            self._uninstall(self._timeout)
            log(f"repaired: the install of {self.release} that was left half done was removed")
            return
        self._roll_back(good, self._timeout)
        log(f"repaired: {self.release} was rolled back to revision {good}")

    def _is_ours(self, revision: Revision) -> bool:
        found = self._cluster.kubectl(
            "get", "secrets", "--ignore-not-found", "--output", f"jsonpath={{.items[*].metadata.labels.{LABEL}}}",
            "--selector", f"owner=helm,name={self.release},version={revision.number}",
        )  # fmt: skip
        return b"deploy" in found.stdout

    # --- what is to be ----------------------------------------------------------------------------

    def render(self) -> Rendered:
        self._dependencies()
        self._values = self._value_files()
        arguments = [
            "template", self.release, f"./{self._asked.chart}", *self._values, "--dry-run=server",
            *(["--is-upgrade"] if self._standing.before else []),
            *([] if self._asked.skip_crds else ["--include-crds"]),
        ]  # fmt: skip
        ran = self._cluster.helm(*arguments, timeout=WRITE, checked=False)
        if ran.code != 0:
            raise Refused(
                f"the chart cannot be rendered: {last_words(ran.stderr.decode(errors='replace'), 500)}"
            )
        everything = objects.read(ran.stdout.decode(errors="replace"), f"what {self._asked.chart} renders")
        kept = objects.hooks_left_out(everything)
        text = "\n---\n".join(json.dumps(each) for each in kept)
        return Rendered(self._cluster.write("manifests.yaml", text), text, kept, everything)

    def _dependencies(self) -> None:
        """Fetched where the chart names some that are not in the repository."""
        chart = objects.mapping(read_text(self._root, f"{self._asked.chart}/Chart.yaml"), "Chart.yaml")
        wanted = chart.get("dependencies")
        if not isinstance(wanted, list) or not wanted:
            return
        folder = self._root / self._asked.chart / "charts"
        there = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
        names = [str(each.get("name", "")) for each in wanted if isinstance(each, dict)]
        if all(any(each == name or each.startswith(f"{name}-") for each in there) for name in names):
            return
        ran = self._cluster.workspace.run(
            [self._cluster.programs["helm"], "dependency", "build", f"./{self._asked.chart}"],
            network=True,
            timeout=WRITE,
            capture=True,
            secrets=(),
        )
        if not ran.ok:
            raise Refused(
                f"the chart's dependencies cannot be fetched: {last_words(ran.stderr.decode(errors='replace'))}",
                "commit Chart.lock, or the charts/ folder (helm dependency update)",
            )

    def _value_files(self) -> list[str]:
        """As options: the repository's files, then one of ours."""
        named = [each for name in self._asked.values for each in ("--values", f"./{name}")]
        made: dict[str, Any] = {}
        if self._image is not None:
            image, keys = self._image
            made = chart_values(image, keys, self._defaults(keys))
        for key, value in self._asked.set.items():
            put(made, key, value)
        if not made:
            return named
        return [*named, "--values", str(self._cluster.write("values.json", json.dumps(made)))]

    def _defaults(self, keys: ImageOptions) -> dict[str, Any]:
        """The first of the chart's and the repository's values that know a key for the digest, or none."""
        for name in (f"{self._asked.chart}/values.yaml", *self._asked.values):
            if not (self._root / name).exists():
                continue
            found = objects.mapping(read_text(self._root, name), name)
            if keys.digest and has(found, keys.digest):
                return found
        return {}

    # --- doing it ---------------------------------------------------------------------------------

    def apply(self, rendered: Rendered, live: Sequence[Object]) -> str:
        del rendered, live
        ran = self._cluster.helm(
            "upgrade", self.release, f"./{self._asked.chart}", "--install", *self._values,
            "--wait", f"--timeout={self._timeout:.0f}s",
            "--description", revisions.mark(self._task), "--labels", f"{LABEL}=deploy",
            "--history-max", str(HISTORY),
            *(["--create-namespace"] if self._asked.create_namespace else []),
            *(["--skip-crds"] if self._asked.skip_crds else []),
            timeout=self._timeout + SLACK, quiet=False, checked=False,
        )  # fmt: skip
        if ran.code == 0:
            return ""
        said = ran.stderr.decode(errors="replace")
        match complaint(said):
            case "locked":
                raise TransientError(f"somebody else's helm is at work on {self.release}", "wait for it")
            case "no namespace":
                raise AgentError(
                    f"there is no namespace {self._cluster.namespace}",
                    "make it, or say with.helm.create_namespace: true",
                )
            case "timeout" if not ran.timed_out:
                return f"{self.release} had not rolled out after {format_duration(self._timeout)}"
            case _:
                return (
                    f"helm had not ended after {format_duration(self._timeout + SLACK)}"
                    if ran.timed_out
                    else last_words(said) or f"helm ended with exit code {ran.code}"
                )

    def settle(self, rendered: Rendered) -> tuple[str, tuple[Id, ...]]:
        history = self._history()
        return (str(history[-1].number) if history else ""), self._gone(rendered)

    def _gone(self, rendered: Rendered) -> tuple[Id, ...]:
        """What the release had and the chart no longer has: Helm has deleted it."""
        if not self._standing.before or self._standing.mine:
            return ()
        had = self._cluster.helm(
            "get", "manifest", self.release, "--revision", self._standing.before, checked=False
        )
        here = self._cluster.namespace
        kept = {objects.placed(objects.identity(each), here) for each in rendered.objects}
        before = objects.read(had.stdout.decode(errors="replace"), "helm") if had.code == 0 else ()
        ids = (objects.placed(objects.identity(each), here) for each in before)
        return tuple(each for each in ids if each not in kept)

    # --- going back -------------------------------------------------------------------------------

    def put_back(self, wait: float) -> PutBack:
        history = self._history()
        before = self._standing.before
        if not history:
            return PutBack("nothing had been installed")
        last = history[-1]
        if before and last.status == "deployed" and str(last.number) == before:
            return PutBack(f"nothing had been changed, revision {before} is deployed")
        try:
            if not before:
                self._uninstall(wait)
                return PutBack("the first install was removed again")
            number = self._roll_back(int(before), wait)
        except AgentError as error:
            return PutBack(f"rolling back failed: {error.message}", failed=True)
        return PutBack(f"rolled back to revision {before} (as revision {number})")

    def take_back(self, revision: str, before: str) -> PutBack:
        history = self._history()
        if not history:
            if before:
                raise AgentError(f"there is no release {self.release} any more: nothing can be rolled back")
            return PutBack("it had been removed already")
        last = history[-1]
        if str(last.number) != revision and not last.pending:
            if not before or str(revisions.rolled_back_to(last)) != before:
                raise AgentError(
                    f"revision {last.number} of {self.release} has come after {revision}: it is left as it is",
                    "deploy what is wanted anew",
                )
            if last.status == "deployed":
                return PutBack(f"it had been rolled back to revision {before} already (as {last.number})")
        self._standing = Standing(before)
        return self.put_back(self._timeout)

    def _roll_back(self, to: int, wait: float) -> int:
        waited = ["--wait", f"--timeout={wait:.0f}s"] if wait else []
        ran = self._cluster.helm(
            "rollback", self.release, str(to), *waited, "--cleanup-on-fail", "--history-max", str(HISTORY),
            timeout=(wait or READ) + SLACK, quiet=False, checked=False,
        )  # fmt: skip
        if ran.code != 0:
            raise AgentError(f"helm rollback {self.release} {to}: {_words(ran)}")
        history = self._history()
        return history[-1].number if history else 0

    def _uninstall(self, wait: float) -> None:
        waited = ["--wait", f"--timeout={wait:.0f}s"] if wait else []
        ran = self._cluster.helm(
            "uninstall", self.release, *waited, "--ignore-not-found",
            timeout=(wait or READ) + SLACK, quiet=False, checked=False,
        )  # fmt: skip
        if ran.code != 0:
            raise AgentError(f"helm uninstall {self.release}: {_words(ran)}")


def _words(ran: ToolRun) -> str:
    return "it had not ended in time" if ran.timed_out else last_words(ran.stderr.decode(errors="replace"))
