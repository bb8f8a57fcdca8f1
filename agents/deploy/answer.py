"""From what was done to the stage's answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from agents.deploy.engine import Engine, PutBack, Standing
from agents.deploy.images import Image
from agents.deploy.objects import Changes
from turnout.core.model import Outcome
from turnout.core.result import Artifact, Result

MOST_NAMES = 50


@dataclass(frozen=True, slots=True)
class Deploy:
    """``namespace``: where to. ``image``: the one that was set. ``standing``: what was found."""

    engine: Engine
    namespace: str
    standing: Standing
    image: Image | None
    environment: str = ""
    artifacts: tuple[Artifact, ...] = field(default=())

    @property
    def where(self) -> str:
        place = self.environment or f"namespace {self.namespace}"
        return f"{self.engine.release} to {place}"

    @property
    def outputs(self) -> dict[str, str]:
        found = {
            "method": self.engine.name,
            "release": self.engine.release,
            "namespace": self.namespace,
            "revision_before": self.standing.before,
        }
        return found | ({"deployed": str(self.image)} if self.image else {})

    def done(self, revision: str, changed: Changes, verified: str) -> Result:
        names = [*changed.created, *changed.configured, *changed.deleted, *changed.unchanged]
        numbers = {
            word: str(len(getattr(changed, word)))
            for word in ("created", "configured", "unchanged", "deleted")
        }
        before = f" (before: {self.standing.before})" if self.standing.before else " (the first)"
        again = ", which an earlier attempt had made" if self.standing.mine else ""
        check = f"; {verified} answers" if verified else ""
        return self._result(
            Outcome.SUCCESS,
            f"deployed {self.where}: revision {revision}{before}{again}; {changed}{check}",
            outputs={"revision": revision, **numbers, "resources": " ".join(map(str, names[:MOST_NAMES]))},
        )

    def failed(self, why: str, back: PutBack | None) -> Result:
        """``back``: None: it was not asked for."""
        went = back.said if back else "left as it is (with.rollback is false)"
        summary = f"deploying {self.where} failed: {why}; {went}"
        rolled_back = {"rolled_back": "true" if back and not back.failed else "false"}
        return self._result(Outcome.FAILURE, summary, outputs=rolled_back, reason=f"{why}; {went}")

    def only_looked(self, diff: str) -> Result:
        what = "something would change, see the log" if diff else "nothing would change"
        return self._result(Outcome.SUCCESS, f"dry run of {self.where}: {what}", outputs={"dry_run": "true"})

    def _result(self, outcome: Outcome, summary: str, outputs: dict[str, str], reason: str = "") -> Result:
        return Result(
            outcome=outcome,
            summary=summary,
            reason=reason,
            outputs=self.outputs | outputs,
            artifacts=self.artifacts,
            tools=self.engine.tools,
        )


def taken_back(engine: Engine, namespace: str, environment: str, back: PutBack) -> Result:
    """The answer of a rollback task."""
    where = environment or f"namespace {namespace}"
    outcome = Outcome.FAILURE if back.failed else Outcome.SUCCESS
    return Result(
        outcome=outcome,
        summary=f"rollback of {engine.release} in {where}: {back.said}",
        reason=back.said if back.failed else "",
        outputs={
            "method": engine.name,
            "release": engine.release,
            "namespace": namespace,
            "rolled_back": "false" if back.failed else "true",
        },
        tools=engine.tools,
    )
