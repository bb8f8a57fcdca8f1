"""The verbs of the command line; each one's work is in a module of its own, imported when it is called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Event-driven, rule-driven CI/CD. The same plan on a laptop and in the cloud.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
agent = typer.Typer(no_args_is_help=True, help="Agents that stay resident.")
app.add_typer(agent, name="agent")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id or the beginning of it, its number, or `latest`.")
]
StageName = Annotated[str, typer.Argument(metavar="STAGE", help="A stage's name.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="The pipeline file.")]


def _say_version(asked: bool) -> None:
    if asked:
        from turnout.cli.version import said

        typer.echo(said())
        raise typer.Exit


@app.callback()
def turnout(
    remote: Annotated[
        str,
        typer.Option(
            "--remote",
            metavar="URL",
            help="Ask this console, not the one of `turnout login`; `local`: this machine. Also TURNOUT_REMOTE.",
        ),
    ] = "",
    version: Annotated[  # noqa: ARG001 - said and done before anything else
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_say_version, help="Print the version, and no more."
        ),
    ] = False,
) -> None:
    if remote:
        os.environ["TURNOUT_REMOTE"] = remote


# --- the pipeline file ------------------------------------------------------------------------------


@app.command()
def validate(
    file: File = Path("pipeline.yml"),
    project: Annotated[bool, typer.Option("--project", help="It is a project file.")] = False,
    json: Json = False,
) -> None:
    """Check a pipeline file (or a project file) and say everything that is wrong, at once."""
    from turnout.cli.files import validate as work

    raise typer.Exit(work(file, project=project, as_json=json))


@app.command()
def plan(
    file: File = Path("pipeline.yml"),
    branch: Annotated[str, typer.Option(help="The branch of the change.")] = "main",
    event: Annotated[
        str, typer.Option(help="push, pull_request, tag, manual, schedule or dispatch.")
    ] = "push",
    tag: Annotated[str, typer.Option(help="The tag, for a tag event.")] = "",
    path: Annotated[list[str] | None, typer.Option("--path", help="A changed file; may be repeated.")] = None,
    project_file: Annotated[
        Path | None, typer.Option("--project", help="The operator's project file.")
    ] = None,
    repository: Annotated[
        str, typer.Option(help="owner/name, where no project file says it; else as `turnout run` calls it.")
    ] = "",
    json: Json = False,
) -> None:
    """Print the plan and its digest, as the server would make them."""
    from turnout.cli.files import plan as work

    change = {"branch": branch, "event": event, "tag": tag, "paths": path, "repository": repository}
    raise typer.Exit(work(file, project_file, change, as_json=json))


@app.command()
def simulate(
    file: File = Path("pipeline.yml"),
    project: Annotated[
        str, typer.Option(metavar="OWNER/NAME", help="Whose changes; else those of this checkout.")
    ] = "",
    against: Annotated[
        str, typer.Option(metavar="FILE|REV", help="The file as it was: another file, or a revision.")
    ] = "HEAD",
    last: Annotated[int, typer.Option(min=1, max=500, help="How many recorded changes.")] = 50,
    json: Json = False,
) -> None:
    """Try a pipeline file on recorded changes: what would run otherwise than with the file as it was.

    Exit status: 0 nothing would be different, 1 something would, 2 the file is not valid.
    """
    from turnout.cli.simulating import simulate as work

    raise typer.Exit(work(file, project, against, last, as_json=json))


# --- the stack ----------------------------------------------------------------------------------------


@app.command()
def up(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: any free one.")] = 8080,
    separate: Annotated[
        bool, typer.Option("--separate", help="Each function and agent in its own process.")
    ] = False,
    kafka: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Use this Kafka, not the embedded log.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Start the whole system on this machine; Ctrl-C drains and stops it."""
    from turnout.cli.stack import up as work

    work(host=host, port=port, separate=separate, kafka=kafka, quiet=quiet)


@app.command()
def migrate(
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a database that is away.")] = 60,
) -> None:
    """Bring the database's tables to this version, and open them to TURNOUT_DATABASE_ROLES. Safe to do again.

    Exit status: 0 they are of this version; 2 they are not, and why.
    """
    from turnout.cli.migrating import migrate as work

    raise typer.Exit(work(wait))


@app.command("console-link")
def console_link(json: Json = False) -> None:
    """Print a link that signs you in to the console of this home, once, within the hour."""
    from turnout.cli.stack import console_link as work

    raise typer.Exit(work(as_json=json))


@app.command()
def dispatcher(
    port: Annotated[
        int,
        typer.Option(
            envvar="PORT", min=0, max=65535, help="Tell its health at /healthz and /livez; 0: nowhere."
        ),
    ] = 0,
) -> None:
    """Post what happens to the functions at TURNOUT_FUNCTION_URLS until told to stop."""
    from turnout.cli.stack import serve_dispatcher as work

    work(port)


@agent.command("serve")
def agent_serve(
    kinds: Annotated[list[str], typer.Argument(help="Agent kinds, such as lint test script.")],
    member: Annotated[str, typer.Option(help="A stable name: a restart takes its work back.")] = "",
) -> None:
    """Serve one or more agent kinds from this machine until told to stop."""
    from turnout.cli.stack import serve_agents as work

    work(kinds, member)


@app.command()
def settings() -> None:
    """The settings, their defaults and their meaning, as a Markdown table."""
    from turnout.adapters.settings import describe

    typer.echo(describe(), nl=False)


# --- consoles ------------------------------------------------------------------------------------------


@app.command()
def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="A console's address.")],
    token: Annotated[
        str, typer.Option(help="A token made there; else it is asked for, or read from standard input.")
    ] = "",
    json: Json = False,
) -> None:
    """Sign in to a console: what is read and asked for is about it from then on."""
    from turnout.cli.signing import login as work

    raise typer.Exit(work(url, token, as_json=json))


@app.command()
def logout(json: Json = False) -> None:
    """Forget the console that commands are about, and its token."""
    from turnout.cli.signing import logout as work

    raise typer.Exit(work(as_json=json))


# --- runs ----------------------------------------------------------------------------------------------


@app.command()
def run(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A checkout; uncommitted changes are included.")
    ] = Path(),
    file: Annotated[str, typer.Option(help="The pipeline file within it; else the project's.")] = "",
    event: Annotated[
        str, typer.Option(help="What to run it as: push, pull_request, tag, manual or dispatch.")
    ] = "push",
    branch: Annotated[
        str, typer.Option(help="The branch (or the tag) to run it as; else the branch checked out.")
    ] = "",
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=VALUE",
            help="An input of its `on.dispatch`, which it is then run as; may be repeated.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run the pipeline of a local checkout through the very same functions, and watch it.

    Exit status: 0 success, 1 failure, 2 error, 130 cancelled.
    """
    from turnout.cli.run import run as work

    raise typer.Exit(work(path, file=file, event=event, branch=branch, given=given or [], as_json=json))


@app.command()
def runs(
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
    project: Annotated[str, typer.Option(help="Only of this project.")] = "",
    branch: Annotated[str, typer.Option(help="Only of this branch.")] = "",
    json: Json = False,
) -> None:
    """List runs, newest first."""
    from turnout.cli.read import runs as work

    work(limit, project, branch, as_json=json)


@app.command()
def figures(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="owner/name")],
    days: Annotated[int, typer.Option(min=1, max=365, help="How many days, with today.")] = 30,
    json: Json = False,
) -> None:
    """How a project does: success, durations, flaky tests, coverage, deploys, DORA's four."""
    from turnout.cli.figures import figures as work

    work(project, days, as_json=json)


@app.command()
def show(run: RunId, json: Json = False) -> None:
    """One run: its stages, attempts, failed tests, findings and reasons."""
    from turnout.cli.read import show as work

    work(run, as_json=json)


@app.command()
def events(run: RunId, json: Json = False) -> None:
    """Everything that happened in a run, in order."""
    from turnout.cli.read import events as work

    work(run, as_json=json)


@app.command()
def logs(
    run: RunId,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Only this stage.")] = "",
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run has ended.")] = False,
    json: Json = False,
) -> None:
    """The logs of a run, or of one of its stages."""
    from turnout.cli.logs import logs as work

    work(run, stage, follow=follow, as_json=json)


@app.command()
def explain(
    run: RunId = "latest",
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="Only this stage.")] = "",
    delivery: Annotated[
        str, typer.Option(help="In place of a run: a webhook delivery's id, or the beginning of a commit's.")
    ] = "",
    json: Json = False,
) -> None:
    """Why a stage ran, was skipped, was retried, was cancelled, or why nothing ran."""
    from turnout.cli.read import explain as work

    work(run, stage, delivery, as_json=json)


@app.command()
def replay(
    run: RunId,
    at: Annotated[int | None, typer.Option(min=1, help="After this many of its events; else all.")] = None,
    step: Annotated[bool, typer.Option("--step", help="Go through its events with the arrow keys.")] = False,
    json: Json = False,
) -> None:
    """A run as it was, rebuilt from its events."""
    from turnout.cli.replaying import replay as work

    work(run, at, step=step, as_json=json)


@app.command()
def deliveries(
    limit: Annotated[int, typer.Option(help="How many.")] = 20,
    repository: Annotated[str, typer.Option(help="Only of this repository.")] = "",
    json: Json = False,
) -> None:
    """Webhook deliveries, and what became of each."""
    from turnout.cli.read import deliveries as work

    work(limit, repository, as_json=json)


@app.command()
def audit(
    since: Annotated[
        str,
        typer.Option(help="From when on: 90m, 12h, 3d, or a time; else three days, as long as GitHub knows."),
    ] = "",
    json: Json = False,
) -> None:
    """Equate what GitHub sent with our deliveries, runs, attempts and reports; name what nobody can account for.

    Exit status: 0 everything is accounted for, 1 something is not.
    """
    from turnout.cli.audit import audit as work

    raise typer.Exit(work(since, as_json=json))


@app.command("dead-letters")
def dead_letters(
    retry: Annotated[bool, typer.Option("--retry", help="Put them back where they came from.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Give them up for good.")] = False,
    json: Json = False,
) -> None:
    """Messages that no function would take, with the reasons."""
    from turnout.cli.letters import letters as work

    work(retry=retry, discard=discard, as_json=json)


@app.command()
def verify(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE", help="An image: name@sha256:…, or name:tag as the registry has it now."
        ),
    ],
    require: Annotated[
        str,
        typer.Option(
            help="What must have passed on it: agents, or stages like stage:unit, separated by commas."
        ),
    ] = "",
    project: Annotated[str, typer.Option(help="Only builds of this project count.")] = "",
    key: Annotated[
        list[Path] | None,
        typer.Option(help="Public keys in PEM that are believed, instead of this home's; may be repeated."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Attestations as JSON lines, instead of this home's; `-`: standard input."),
    ] = None,
    json: Json = False,
) -> None:
    """Who built an image, from which commit, by which plan, and what has passed on it.

    Exit status: 0 it is attested as asked for, 1 it is not, or something was changed after it was signed.
    """
    from turnout.cli.attestations import verify as work

    raise typer.Exit(work(image, require, project, key or [], file, as_json=json))


@app.command()
def attestations(
    run: RunId, stage: Annotated[str, typer.Argument(metavar="STAGE", help="Only this stage.")] = ""
) -> None:
    """What is attested of a run's results: in-toto statements in signed envelopes, one a line."""
    from turnout.cli.attestations import export as work

    work(run, stage)


@app.command("attestation-key")
def attestation_key() -> None:
    """The public keys, in PEM, whose attestations count here; the first signs."""
    from turnout.cli.attestations import public_keys as work

    work()


By = Annotated[str, typer.Option(help="Who asks; else the name of this user.")]
Comment = Annotated[str, typer.Option("--comment", "--reason", help="Why; recorded with the decision.")]


@app.command()
def cancel(run: RunId, reason: Comment = "", by: By = "", json: Json = False) -> None:
    """Cancel a run."""
    from turnout.cli.act import cancel as work

    raise typer.Exit(work(run, by, reason, as_json=json))


@app.command()
def rerun(
    run: RunId,
    failed: Annotated[bool, typer.Option("--failed", help="From the failed stages on.")] = False,
    stage: Annotated[str, typer.Option(help="Only this stage.")] = "",
    by: By = "",
    json: Json = False,
) -> None:
    """Run a run's plan again: the whole, from the failed stages on, or one stage."""
    from turnout.cli.act import rerun as work

    raise typer.Exit(work(run, by, failed=failed, stage=stage, as_json=json))


@app.command()
def approve(run: RunId, stage: StageName, comment: Comment = "", by: By = "", json: Json = False) -> None:
    """Approve a stage that waits for people."""
    from turnout.cli.act import decide_on as work

    raise typer.Exit(work("approve", run, stage, by, comment, as_json=json))


@app.command()
def reject(run: RunId, stage: StageName, comment: Comment = "", by: By = "", json: Json = False) -> None:
    """Reject a stage that waits for people."""
    from turnout.cli.act import decide_on as work

    raise typer.Exit(work("reject", run, stage, by, comment, as_json=json))
