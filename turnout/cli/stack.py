"""`turnout up` and `turnout agent serve`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from turnout.cli.shown import console, print_json
from turnout.core.errors import PermanentError
from turnout.stack.layout import Running, read_running, subscriptions


def up(*, host: str, port: int, separate: bool, kafka: str, quiet: bool) -> None:
    """Raises: PermanentError (another stack is up, the port is taken, a setting is wrong)."""
    if kafka:
        os.environ["TURNOUT_KAFKA_BOOTSTRAP"] = kafka
    from turnout.stack.up import Options, up
    from turnout.wiring import wiring

    options = Options(host=host, port=port, separate=separate)
    up(wiring().settings, options, (lambda _running, _late: None) if quiet else _say)


def _say(running: Running, late: Sequence[str]) -> None:
    console.print("[bold]Turnout is up.[/] Ctrl-C drains and stops it.")
    console.print(f"  console   {running.urls['console']}")
    console.print(f"  webhook   {running.urls['webhook']}")
    console.print(f"  bus       {running.bus}")
    console.print(f"  store     {running.store}")
    from turnout.wiring import wiring

    console.print(f"  sign in   {sign_in_link(running.urls['console'])}", soft_wrap=True)
    console.print(f"  agents    {', '.join(wiring().settings.kinds)}")
    console.print(f"  sandbox   {wiring().sandbox_description()}")
    if late:
        console.print(f"  [yellow]not ready yet: {', '.join(late)}[/]")


def sign_in_link(address: str) -> str:
    """Signs whoever opens it in as the owner of this home, once. ``address``: the console's."""
    from turnout.wiring import wiring

    return f"{address.rstrip('/')}/sign-in/link?token={wiring().identity.link_token()}"


def console_link(*, as_json: bool) -> int:
    """Raises: PermanentError where it is not known where the console is."""
    from turnout.stack.lock import held
    from turnout.wiring import wiring

    settings = wiring().settings
    running = read_running(settings.home) if held(settings.home) else None
    address = settings.console_url or (running.urls.get("console", "") if running else "")
    if not address:
        raise PermanentError("no console of this home is up", "`turnout up`, or set TURNOUT_CONSOLE_URL")
    link = sign_in_link(address)
    if as_json:
        print_json({"link": link})
    else:
        console.print(link, soft_wrap=True)
    return 0


def serve_dispatcher(port: int) -> None:
    """Raises: InvalidSettings naming all that is wrong."""
    from turnout.adapters.settings import InvalidSettings
    from turnout.stack.parts import run_dispatcher
    from turnout.stack.supervisor import ready_from_environment
    from turnout.wiring import wiring

    settings = wiring().settings
    needed = {"orchestrator", "reporter"}
    needed |= {"sweeper"} if settings.dispatcher_sweeps else set()
    needed |= {"launcher"} if settings.runtimes else set()
    if missing := sorted(needed - {*settings.urls}):
        raise InvalidSettings(
            f"TURNOUT_FUNCTION_URLS: no address of {', '.join(missing)}",
            'set it to {"orchestrator": "https://…", …}; who lets a scheduler call the sweeper says so with '
            "TURNOUT_DISPATCHER_SWEEPS=false",
        )
    topics = subscriptions("launcher" in settings.urls, settings.kinds)
    # several may be one service's instances, told the same: without a name each is a member of its own
    member = settings.member("dispatcher") if settings.node else ""
    run_dispatcher(settings.urls, topics, ready_from_environment(), member=member, port=port)


def serve_agents(kinds: Sequence[str], member: str) -> None:
    from turnout.stack.parts import run_agents
    from turnout.stack.supervisor import ready_from_environment
    from turnout.wiring import prepare, wiring

    known = wiring().settings.kinds
    if unknown := [kind for kind in kinds if kind not in known]:
        hint = f"known are {', '.join(known)}; those of other packages are named in TURNOUT_AGENTS"
        raise PermanentError(f"no agent {unknown[0]!r}", hint)
    prepare(wiring().settings)
    run_agents(kinds, member or f"agent-{'-'.join(kinds)}-{os.getpid()}", ready_from_environment())
