"""The deploy agent: brings a chart, manifests or a kustomization to a cluster, waits until it runs, and goes back to
what was before when it does not.
"""

from __future__ import annotations

from agents.deploy import diff, objects, rollout, verify
from agents.deploy.answer import Deploy, taken_back
from agents.deploy.cluster import Cluster, reach
from agents.deploy.complaints import Refused
from agents.deploy.discovery import chosen
from agents.deploy.engine import Engine, PutBack, Rendered
from agents.deploy.helm import HelmEngine
from agents.deploy.images import Image, built, check_used, parts
from agents.deploy.kubectl import KubectlEngine
from agents.deploy.options import DeployOptions, HelmOptions, ImageOptions
from agents.sdk import attested
from agents.sdk.options import read_options
from agents.sdk.workspace import AgentError, Workspace
from turnout.core.errors import TransientError, TurnoutError
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome
from turnout.core.result import Result

UNDO = 90.0  # seconds that going back gets after a cancel; it is not waited for a rollout then

MOST_HIDDEN, SHORTEST = 200, 8
"""Of Secrets' values that are masked in the whole log: how many, and of which length. In the diff all are masked."""


def run(task: TaskRequested, workspace: Workspace) -> Result:
    """Raises: AgentError where it could not be done; TransientError where the cluster cannot be reached."""
    if not task.trusted:
        raise AgentError(
            "a change from a fork is never deployed", "merge it; what is on the base branch can be deployed"
        )
    options = read_options(DeployOptions, task.options)
    asked = chosen(options, workspace.path, task.environment, task.checkout.repository)
    image = _image(task, options)
    helm = isinstance(asked, HelmOptions)
    needed = ("helm", "kubectl") if helm else ("kubectl",)
    cluster = reach(workspace, options.credentials, asked.namespace, needed)
    workspace.log(f"{asked.release}: to namespace {cluster.namespace} of {cluster.access.server}")
    engine: Engine = (
        HelmEngine(cluster, task, asked, workspace.path, image, options.timeout)
        if isinstance(asked, HelmOptions)
        else KubectlEngine(cluster, task, asked, workspace.path, image, options.timeout)
    )
    if task.rollback:
        return _take_back(task, cluster, engine)
    deploy = Deploy(engine, cluster.namespace, engine.stand(), image[0] if image else None, task.environment)
    try:
        return _deploy(task, options, cluster, deploy)
    except Refused as error:
        return Result(
            outcome=Outcome.FAILURE,
            summary=f"deploying {deploy.where} failed before anything was changed: {error.message}",
            reason=str(error),
            outputs=deploy.outputs,
            tools=engine.tools,
        )


def _image(task: TaskRequested, options: DeployOptions) -> tuple[Image, ImageOptions] | None:
    if options.image is False:
        return None
    found = built(task.upstream, options.image, task.stage)
    return None if found is None else (found, options.image)


def _deploy(task: TaskRequested, options: DeployOptions, cluster: Cluster, deploy: Deploy) -> Result:
    workspace, engine = cluster.workspace, deploy.engine
    rendered = engine.render()
    _check_images(task, workspace, deploy.image, rendered, helm=engine.name == "helm")
    _hide_secrets(workspace, deploy, rendered)
    changed = ""
    if options.diff or options.dry_run:
        changed = diff.show(cluster, rendered.file, engine.manager, force=engine.force)
    kept = diff.artifacts(cluster, changed, objects.shown(rendered.everything))
    deploy = Deploy(engine, deploy.namespace, deploy.standing, deploy.image, deploy.environment, kept)
    if options.dry_run:
        return deploy.only_looked(changed)
    live = cluster.live(rendered.file)
    if deploy.standing.mine:
        workspace.log(f"revision {deploy.standing.mine} was made by an earlier attempt of this task")

    def work() -> tuple[str, bool]:
        """Why it failed, empty: it did not; and whether its workloads are to blame."""
        if not deploy.standing.mine and (problem := engine.apply(rendered, live)):
            return problem, True
        problem = rollout.wait(cluster, objects.workloads(rendered.objects), options.timeout)
        if problem or options.verify is None:
            return problem, True
        return verify.failing(cluster, options.verify, task.secrets), False

    def undo() -> str:
        if not options.rollback:
            return "what was deployed so far is left as it is"
        workspace.log("told to stop in mid-rollout: going back to what was before")
        said = _back(engine, 0.0).said
        workspace.log(said)
        return said

    try:
        problem, theirs = workspace.undoable(work, undo, UNDO if options.rollback else 0.0)
    except TransientError:
        raise  # nobody knows what the cluster has done; the next attempt finds out, and repairs
    except AgentError as error:
        back = _back(engine, options.timeout) if options.rollback else PutBack("it is left as it is")
        workspace.log(back.said)
        raise AgentError(f"{error.message}; {back.said}", error.hint) from error
    if problem:
        reasons = rollout.why(cluster, objects.workloads(rendered.objects)) if theirs else ""
        workspace.log(f"failed: {problem}")
        went = _back(engine, options.timeout) if options.rollback else None
        if went is not None:
            workspace.log(went.said)
        return deploy.failed(f"{reasons} ({problem})" if reasons else problem, went)
    revision, deleted = engine.settle(rendered)
    changes = objects.changes(live, cluster.live(rendered.file), deleted)
    workspace.log(f"revision {revision} of {engine.release}: {changes}")
    checked = options.verify.url or "the check" if options.verify else ""
    return deploy.done(revision, changes, checked or "")


def _hide_secrets(workspace: Workspace, deploy: Deploy, rendered: Rendered) -> None:
    """What the manifests' Secrets hold, but for what is a word or a name of everybody's."""
    known = " ".join((deploy.engine.release, deploy.namespace, *objects.images(rendered.everything)))
    for value in objects.secret_values(rendered.everything)[:MOST_HIDDEN]:
        if len(value) >= SHORTEST and value not in known:
            workspace.hide(value)


def _back(engine: Engine, wait: float) -> PutBack:
    try:
        return engine.put_back(wait)
    except TurnoutError as error:
        return PutBack(f"rolling back failed: {error.message}", failed=True)


def _check_images(
    task: TaskRequested, workspace: Workspace, image: Image | None, rendered: Rendered, *, helm: bool
) -> None:
    used = objects.images(rendered.everything)
    if image is not None:
        where = (
            "let the chart take it from its values, and name their keys with with.image (repository, tag, digest)"
            if helm
            else "name the image that stands in the manifests with with.image.name"
        )
        check_used(image, used, f"{where}; or say with.image: false")
        workspace.log(f"image: {image}")
    if task.attested is None:
        return
    for each in used:
        for line in attested.require(task, parts(each)[2] or each):
            workspace.log(line)


def _take_back(task: TaskRequested, cluster: Cluster, engine: Engine) -> Result:
    """A rollback task: what this stage has deployed in this run is taken back."""
    own = task.upstream.get(task.stage, {})
    revision, before = own.get("revision", ""), own.get("revision_before", "")
    if not revision:
        said = (
            "its failed deploy had been rolled back already"
            if own.get("rolled_back") == "true"
            else "nothing had been deployed"
        )
        back = PutBack(said)
    else:
        back = engine.take_back(revision, before)
    cluster.workspace.log(back.said)
    return taken_back(engine, cluster.namespace, task.environment, back)
