"""What a running stack attests: verified from the command line, carried to a deploy, refused once it was changed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agents.sdk.attested import require
from agents.sdk.workspace import AgentError
from tests.attested import IMAGE, OTHER
from tests.e2e.system import REPOSITORY, ROOT, System
from turnout.core.envelope import open_record
from turnout.core.messages import TaskRequested, parse

PIPELINE = f"""\
pipeline:
  stages:
    - {{name: check, agent: script, with: {{run: "true"}}}}
    - name: package
      agent: script
      with: {{run: 'printf "image=registry.example.org/shop:main\\ndigest={IMAGE}\\n" >> "$TURNOUT_OUTPUT"'}}
    - {{name: scan, agent: script, with: {{run: "true"}}}}
    - {{name: ship, agent: script, environment: production, with: {{run: "true"}}}}
"""


def turnout(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "turnout", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=system.environ, capture_output=True, text=True, timeout=60, check=False
    )


def handed(system: System, stage: str) -> TaskRequested:
    log = system.wiring.bus.tail(["agent.script"], from_start=True)
    try:
        found = [parse(open_record(each.record)) for each in log.poll(5)]
    finally:
        log.close()
    return next(each for each in found if isinstance(each, TaskRequested) and each.stage == stage)


@pytest.mark.real  # nothing of it is: it takes seconds
def test_what_a_stack_delivers_is_attested_until_a_byte_is_changed(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.make_repository({"pipeline.yml": PIPELINE})
        project = system.wiring.settings.projects_folder / "shop.yml"
        project.write_text(f"{project.read_text()}  environments: {{production: {{attested: true}}}}\n")
        system.start()
        (run,) = system.wait_for([system.deliver()])
        assert run.outcome == "success", run.reason
        asked = ("--require", "stage:check,stage:package,stage:scan", "--project", REPOSITORY)
        said = turnout(system, "verify", f"registry.example.org/shop@{IMAGE}", *asked)
        assert said.returncode == 0, said.stdout + said.stderr
        assert f"was built by package (agent script) in run {run.id[:12]}" in said.stdout
        task = handed(system, "ship")
        assert task.attested is not None
        assert task.attested.required == ("stage:check", "stage:package", "stage:scan")
        assert len(require(task, IMAGE)) == 3
        with pytest.raises(AgentError, match="nothing attests who built"):
            require(task, OTHER)
        assert system.stop() == 0
        with sqlite3.connect(system.wiring.settings.home / "turnout.db") as database:
            one_byte = 'UPDATE attestations SET payload = replace(payload, \'"commit":"\', \'"commit":"0\')'
            assert (
                database.execute(f'{one_byte} WHERE payload LIKE \'%"stage":"scan","started%\'').rowcount == 1
            )
        database.close()
        said = turnout(system, "verify", IMAGE, *asked)
        assert said.returncode == 1
        assert "signature is not of this statement" in said.stdout
