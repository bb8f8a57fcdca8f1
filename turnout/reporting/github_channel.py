"""GitHub: a check for the run and one a stage (commit statuses where only a token is), its deployments, and one
comment a pull request, all kept up to date in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from turnout.core.errors import TransientError
from turnout.core.model import ChangeKind
from turnout.core.run import Run, Stage, StageStatus
from turnout.reporting.current import Report, read
from turnout.reporting.deliver import Told
from turnout.reporting.figures import base_of
from turnout.reporting.github_text import SIGNS, Check, checks, comment, marker, marker_of
from turnout.reporting.ledger import SENDING, SENT, Change, Ledger
from turnout.reporting.policy import waiting
from turnout.reporting.view import Light, look

MAX_ROUNDS = 5
BATCH = 50
"""Annotations that GitHub takes at once."""
DEPLOYING_AGENT = "deploy"
_DEPLOYED = {
    Light.SUCCESS: "success",
    Light.FAILURE: "failure",
    Light.TIMED_OUT: "failure",
    Light.ALLOWED: "failure",
}


class Hub(Protocol):
    """GitHub's REST API, as far as it is needed. Numbers are the ids that GitHub gave. Raises everywhere: NotFound,
    PermanentError, TransientError.
    """

    @property
    def checks(self) -> bool:
        """Whether we may write checks: an App may, a token may not."""
        ...

    def make_check(self, repository: str, sha: str, external: str, check: Check) -> int: ...

    def find_check(self, repository: str, sha: str, external: str, name: str) -> int | None: ...

    def update_check(self, repository: str, number: int, check: Check) -> None: ...

    def annotate(
        self, repository: str, number: int, check: Check, batch: Sequence[Mapping[str, Any]]
    ) -> None: ...

    def annotated(self, repository: str, number: int) -> int:
        """How many annotations the check has."""
        ...

    def say_status(self, repository: str, sha: str, check: Check) -> int: ...

    def find_status(self, repository: str, sha: str, check: Check) -> int | None:
        """The newest of this context, if it says the same."""
        ...

    def make_comment(self, repository: str, issue: int, body: str) -> int: ...

    def find_comment(self, repository: str, issue: int, beginning: str) -> int | None: ...

    def read_comment(self, repository: str, number: int) -> str | None:
        """None: it isn't there any more."""
        ...

    def update_comment(self, repository: str, number: int, body: str) -> None: ...

    def make_deployment(
        self, repository: str, sha: str, environment: str, said: str, external: str
    ) -> int: ...

    def find_deployment(self, repository: str, sha: str, environment: str, external: str) -> int | None: ...

    def say_deployed(self, repository: str, number: int, state: str, said: str, url: str) -> int: ...

    def find_deployed(self, repository: str, number: int, state: str) -> int | None: ...


@dataclass(frozen=True, slots=True)
class GitHubChannel:
    """``hub``: for the runs of a project, or why there is none. ``console``: base URL for links."""

    hub: Callable[[str], Hub | str]
    console: str = ""
    name: str = field(default="github", init=False)

    def silent(self, run: Run) -> str:
        if run.change.dirty:
            return "a working tree with uncommitted changes is no commit of GitHub's"
        found = self.hub(run.project)
        return found if isinstance(found, str) else ""

    def tell(self, report: Report, ledger: Ledger) -> Told:
        hub = self.hub(report.run.project)
        if isinstance(hub, str):
            return Told.nothing(hub)
        shown = _shown(report, self.console, ledger)
        if not shown:
            return Told.nothing("nothing was to run")
        with ledger.change() as change:
            again = ledger.unfinished()  # an earlier telling broke off: nobody knows what people see
            for each in shown:
                if hub.checks:
                    self._check(hub, report, each, ledger, change, again)
                else:
                    _status(hub, report.run, each, ledger)
            for stage in report.run.stages.values():
                if stage.started_at and report.run.planned(stage.name).agent == DEPLOYING_AGENT:
                    self._deployment(hub, report, stage, ledger)
            if report.run.change.kind is ChangeKind.PULL_REQUEST and _worth_a_comment(report.run):
                self._comment(hub, report, ledger)
            if change.name or again:
                change.end()
        return Told.sent(shown[0].digest)

    def _check(
        self, hub: Hub, report: Report, check: Check, ledger: Ledger, change: Change, again: bool
    ) -> None:
        """Make it, or bring it up to date. A newer state that somebody else shows meanwhile stays, or is shown anew."""
        repository, sha = report.run.change.repository, report.run.change.sha
        external = f"{report.run.id}:{check.key}"

        def make(this: Check) -> str:
            return f"{hub.make_check(repository, sha, external, this)} {this.digest}"

        def find(_: object) -> str | None:
            number = hub.find_check(repository, sha, external, check.name)
            return f"{number} ?" if number else None  # nobody knows what it shows

        overtaken = False
        for _ in range(MAX_ROUNDS):
            version = report.run.version
            kept = ledger.once(check.key, version, partial(make, check), find)
            number, _, digest = kept.partition(" ")
            row = ledger.find(check.key)
            newer = row is not None and row.version > version
            stale = again or digest != check.digest or (row is not None and row.status != SENT)
            if overtaken or (stale and not newer):
                change.begin()
                row = ledger.find(check.key)
                newer = row is not None and row.version > version  # told before we were seen to be at it
                if not newer:
                    ledger.settle({check.key: version}, SENDING, kept)
                    hub.update_check(repository, int(number), check)
                    row = ledger.find(check.key)
                    newer = overtaken = row is not None and row.version > version  # ours may have come last
                if not newer:
                    ledger.record(check.key, SENT, f"{number} {check.digest}", version)
            if not newer:
                return self._annotate(hub, report.run, int(number), check, ledger)
            report = read(ledger.reports, report.run.id)
            shown = _shown(report, self.console, ledger)
            check = next(each for each in shown if each.key == check.key)
        raise TransientError(
            f"github: {check.name} of run {report.run.id} is being changed by others, come back later"
        )

    def _annotate(self, hub: Hub, run: Run, number: int, check: Check, ledger: Ledger) -> None:
        """They are added to what is there: each batch once."""
        repository = run.change.repository
        for begin in range(0, len(check.annotations), BATCH):
            batch = check.annotations[begin : begin + BATCH]
            end = begin + len(batch)

            def add(batch: Sequence[Mapping[str, Any]] = batch) -> str:
                hub.annotate(repository, number, check, batch)
                return str(number)

            def added(_: object, end: int = end) -> str | None:
                return str(number) if hub.annotated(repository, number) >= end else None

            ledger.once(f"{check.key}:annotations:{end}", run.version, add, added)

    def _deployment(self, hub: Hub, report: Report, stage: Stage, ledger: Ledger) -> None:
        run, repository, sha = report.run, report.run.change.repository, report.run.change.sha
        environment = run.planned(stage.name).environment or "production"
        external = f"{run.id}:{stage.name}"
        said = f"{stage.name} of run {run.id[:8]}"
        number = int(
            ledger.once(
                f"deployment:{stage.name}",
                run.version,
                lambda: str(hub.make_deployment(repository, sha, environment, said, external)),
                lambda _: _text(hub.find_deployment(repository, sha, environment, external)),
            )
        )
        light = next(each for each in look(run).stages if each.name == stage.name).light
        state = _deployed(stage, light)
        url = f"{self.console.rstrip('/')}/runs/{run.id}" if self.console else ""
        ledger.once(
            f"deployment:{stage.name}:{state}",
            run.version,
            lambda: str(hub.say_deployed(repository, number, state, f"{SIGNS[light]} {said}", url)),
            lambda _: _text(hub.find_deployed(repository, number, state)),
        )

    def _comment(self, hub: Hub, report: Report, ledger: Ledger) -> None:
        """The newest run of the pull request has the word; a comment that somebody deleted is not made again."""
        run, repository = report.run, report.run.change.repository
        beginning = marker_of(run.project)
        view = look(run, previous=report.previous, console=self.console)
        body = comment(run, view, base_of(run, ledger.reports))

        def made() -> str:
            found = hub.find_comment(repository, run.change.number, beginning)
            return str(found or hub.make_comment(repository, run.change.number, body))

        number = int(ledger.once("comment", run.version, made))
        there = hub.read_comment(repository, number)
        if there is None or there == body or _newer(there, marker(run)):
            return
        hub.update_comment(repository, number, body)


def _shown(report: Report, console: str, ledger: Ledger) -> tuple[Check, ...]:
    run = report.run
    return checks(run, look(run, previous=report.previous, console=console), base_of(run, ledger.reports))


def _status(hub: Hub, run: Run, check: Check, ledger: Ledger) -> None:
    """Each state is said once. One that was overtaken is not said any more: the newest counts on GitHub."""
    repository, sha = run.change.repository, run.change.sha
    digest = f"{check.state}:{check.digest}" if check.state != "pending" else f"pending:{check.light}"
    fact = f"status:{check.key}"
    row = ledger.find(fact)
    if row is not None and (row.version > run.version or row.reference == digest):
        return
    ledger.once(
        f"{fact}:{digest}",
        run.version,
        lambda: str(hub.say_status(repository, sha, check)),
        lambda _: _text(hub.find_status(repository, sha, check)),
    )
    ledger.record(fact, SENT, digest, run.version)


def _worth_a_comment(run: Run) -> bool:
    """A comment calls people: not before there is something to read or to do."""
    return run.finished or any(waiting(run)) or bool(run.halted_by)


def _deployed(stage: Stage, light: Light) -> str:
    if stage.status is not StageStatus.FINISHED:
        return "in_progress"
    return _DEPLOYED.get(light, "error")


def _newer(there: str, ours: str) -> bool:
    """Whether a comment shows a run that was created after ours."""
    shown, own = there.partition("\n")[0].split(" "), ours.split(" ")
    return len(shown) == len(own) and shown[3] > own[3]


def _text(number: int | None) -> str | None:
    return str(number) if number else None
