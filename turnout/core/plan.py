"""The plan: a pipeline config resolved for one change. `turnout.core.planner.plan` makes it.

All durations are in seconds. Stages stand in a topological order (a stage after all it needs; ties
in the order of the file), so the same input gives the same bytes and the same digest.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from turnout.core.errors import Problem
from turnout.core.model import Outcome, Runtime, Value
from turnout.core.nothing import Nothing
from turnout.core.ruling import Ruling


class Retries(Value):
    """The pipeline's own retry budget of a stage; apart from the infrastructure budget.

    Retry ``n`` (from 1) is due ``backoff * factor ** (n - 1)`` seconds after the attempt before it.
    """

    max: int = 0
    backoff: float = 0.0
    factor: float = 2.0
    on: tuple[Outcome, ...] = (Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT)


class Approval(Value):
    """People who must agree before a stage starts. ``by``: ``@user`` or ``@org/team``; empty: anyone allowed."""

    required: int = 1
    by: tuple[str, ...] = ()
    expires: float = 24 * 3600.0


class Resources(Value):
    """``cpu`` in cores, ``memory`` in bytes; 0 means no limit is asked for."""

    cpu: float = 0.0
    memory: int = 0


class Concurrency(Value):
    """Runs of one ``group`` (already resolved for the change): a newer one cancels or waits for the older."""

    group: str
    cancel_superseded: bool = False


class Notify(Value):
    """Where and on what people are told. ``on`` holds ``failure``, ``recovered``, ``success``.

    ``slack``: a channel, empty: the operator's default channel.
    """

    slack: str = ""
    email: tuple[str, ...] = ()
    on: tuple[str, ...] = ("failure", "recovered")


class CheckoutOptions(Value):
    """What is checked out besides the commit's own files. ``submodules``: those that it names, or theirs, too.

    ``elsewhere``: other servers than the repository's are reached, too, for submodules and by a fork's installers.
    ``history``: a job without a mirror
    fetches the commits before this one, and tags.
    """

    submodules: Literal["none", "direct", "recursive"] = "none"
    lfs: bool = False
    history: bool = False
    elsewhere: bool = True


class PlannedTask(Value):
    """One cell of a stage. ``id`` is the stage's name, or ``unit[python=3.11]`` for a matrix cell."""

    id: str
    cell: dict[str, str] = Field(default_factory=dict)


class PlannedStage(Value):
    """``options`` is the stage's ``with:``. ``skip`` says why ``when:`` leaves the stage out, empty: it runs.

    ``needs`` is resolved: also a stage without ``needs:`` names the stages before it.
    ``fail_fast``: a failed cell cancels the other cells of the stage. ``attested``: what must have passed on an image
    before the stage deploys it, as `turnout.core.dsse.Attested.required`. ``notes``: sentences on what is not as the
    pipeline file asks, or could not be known: cut to a limit, withheld from a fork. ``rulings``: what each rule said
    that was asked whether the stage takes part.
    """

    name: str
    agent: str
    needs: tuple[str, ...] = ()
    tasks: tuple[PlannedTask, ...]
    options: dict[str, Any] = Field(default_factory=dict)
    skip: str = ""
    retries: Retries = Retries()
    timeout: float = 3600.0
    allow_failure: bool = False
    fail_fast: bool = True
    runtime: Runtime = Runtime.PROCESS
    resources: Resources = Resources()
    network: bool = False
    env: dict[str, str] = Field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    environment: str = ""
    approval: Approval | None = None
    rollback: str = ""
    attested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rulings: tuple[Ruling, ...] = ()


class Plan(Value):
    """``fail_fast``: a stage that has failed for good cancels what runs beside it.

    ``infrastructure_retries``: attempts lost to the platform that are tried again, per task.
    ``parallel``: attempts of the run that may be under way at a time, 0: any number.
    ``rulings``: what each rule said that was asked whether the change starts a run. ``digest``: sha256 (hex) of the
    canonical JSON of what is to be done: everything else here but the rulings, which say why.
    """

    digest: str
    project: str
    stages: tuple[PlannedStage, ...]
    checkout: CheckoutOptions = CheckoutOptions()
    concurrency: Concurrency | None = None
    notify: Notify = Notify()
    fail_fast: bool = True
    infrastructure_retries: int = 2
    parallel: int = 0
    rulings: tuple[Ruling, ...] = ()

    def stage(self, name: str) -> PlannedStage:
        """Raises: KeyError."""
        for each in self.stages:
            if each.name == name:
                return each
        raise KeyError(name)


class NotTriggered(Nothing):
    """The config, read for this change, says that nothing is to run; ``reason`` names the rule and the values."""

    @classmethod
    def of(cls, why: Nothing) -> NotTriggered:
        return cls(reason=why.reason, rule=why.rule, values=why.values, flips=why.flips)


class ConfigProblem(Value):
    """`turnout.core.errors.Problem` as it is recorded in an event."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    @classmethod
    def of(cls, problem: Problem) -> ConfigProblem:
        return cls(
            file=problem.file,
            line=problem.line,
            column=problem.column,
            path=problem.path,
            message=problem.message,
            hint=problem.hint,
        )

    def __str__(self) -> str:
        return str(Problem(self.file, self.line, self.column, self.path, self.message, self.hint))
