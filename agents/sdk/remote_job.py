"""One attempt in a job that was launched with its pass alone: what a container of an agent runs.

``TURNOUT_GATEWAY_URL``, ``TURNOUT_ATTEMPT`` and ``TURNOUT_ATTEMPT_TOKEN`` (or ``_FILE``) are taken out of the
environment. ``TURNOUT_HOME``: where checkouts and caches are, by default a temporary folder.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from agents.sdk import job, registry
from agents.sdk.first_process import stand_before
from agents.sdk.orphans import remove_folder
from agents.sdk.remote import (
    Grants,
    Heard,
    Pulse,
    RemoteArtifacts,
    RemoteBus,
    RemoteClaims,
    RemoteProducer,
    fetch_task,
)
from agents.sdk.remote_answers import Standing, understood
from agents.sdk.remote_client import GatewayClient, NotWanted
from agents.sdk.remote_log import RemoteLog
from agents.sdk.remote_pass import Pass, take_pass
from agents.sdk.remote_room import room
from agents.sdk.resident import Parts
from turnout.core.errors import TurnoutError
from turnout.core.policy import gateway_token_expiry

_log = structlog.get_logger()


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def run(
    given: Pass,
    home: Path,
    *,
    sandbox: str = "auto",
    agents: dict[str, str] | None = None,
    connect: Callable[[Pass], GatewayClient] = GatewayClient,
    shallow: bool = False,
) -> bool:
    """Run the attempt; False: another job has it, or it has ended. Raises: TurnoutError when nothing was started.

    ``agents``: kind → ``module:function``, where it is not what `registry.find` finds. ``shallow``: as `job.run`.
    """
    client = connect(given)
    try:
        task = fetch_task(client, job.PATIENCE)
        found = agents if agents is not None else registry.find([task.agent])
        with room(home, given.attempt) as folder:
            heard = Heard()
            log = RemoteLog(client, folder / "log.txt")
            pulse = Pulse(client, heard, task.heartbeat)
            grants = Grants(client)
            parts = Parts(
                bus=RemoteBus(RemoteProducer(client, heard, pulse, log)),
                claims=RemoteClaims(client, heard),
                artifacts=RemoteArtifacts(client, log, task),
                secrets=grants,
                clock=_Clock(),
                home=home,
                credential=grants.credential,
                agents=found,
            )
            # The pass decides how long anybody listens: up to then a result is worth waiting with.
            left = (gateway_token_expiry(given.token) or 0) - time.time()
            try:
                return job.run(
                    task,
                    parts,
                    sandbox=sandbox,
                    spooled=folder / "spool",
                    afterwards=max(job.AFTERWARDS, left),
                    shallow=shallow,
                    why_end=lambda: heard.stop or understood(Standing, client.get()).stop,
                )
            finally:
                heard.over.set()
                log.close()
    except NotWanted as error:
        _log.info("nothing to do", attempt=given.attempt, reason=str(error))
        return False
    finally:
        client.close()


def main() -> int:
    """0: it ran (whatever its outcome), or it is not wanted. 1: nothing was started."""
    os.umask(0o077)
    ours: Path | None = None
    try:
        given = take_pass()
        stand_before()
        place = os.environ.get("TURNOUT_HOME") or (ours := Path(tempfile.mkdtemp(prefix="turnout-")))
        sandbox = os.environ.get("TURNOUT_SANDBOX") or "auto"
        run(given, Path(place), sandbox=sandbox, shallow=ours is not None)
    except TurnoutError as error:
        _log.error("the attempt was not started", reason=str(error))
        return 1
    except OSError as error:
        _log.error("the attempt was not started", reason=f"its folder can't be made: {error}")
        return 1
    finally:
        if ours is not None:
            remove_folder(ours)  # where a container is kept, its disk is, too
    return 0
