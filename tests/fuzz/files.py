"""What a repository and its tools write: configuration files, reports, outputs, manifests, names of artifacts."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from agents.lint import eslint, pylint, ruff
from agents.lint.agent import verdict as lint_verdict
from agents.lint.asked import Asked as LintAsked
from agents.lint.options import LintOptions
from agents.script.outputs import read_outputs
from agents.sdk import answers, junit, sarif
from agents.sdk.attempt import masked
from agents.sdk.junit import Case
from agents.sdk.local_workspace import LocalWorkspace
from agents.sdk.masking import Masker
from agents.sdk.options import read_options
from agents.sdk.package_json import read_package_json
from agents.sdk.python_metadata import wanted
from agents.sdk.python_project import read_python_project, satisfies
from agents.sdk.sarif import ToolFindings
from agents.sdk.toolchain import read_json_lines
from agents.test import javascript_reports, javascript_runner, pytest_runner
from agents.test.npm_script import Unclear, is_placeholder, read_script
from agents.test.options import SuiteOptions
from agents.test.report import Lines, Report
from agents.test.verdict import verdict
from tests.fuzz.doors import NOW
from turnout.adapters import yaml_source
from turnout.adapters.config_files import read_pipeline, read_project
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config import ProjectConfig
from turnout.core.envelope import open_record
from turnout.core.errors import InvalidConfig
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import Plan
from turnout.core.planner import plan
from turnout.core.result import Result

PROJECT = ProjectConfig(repository="acme/shop")
CHANGE = Change(
    kind=ChangeKind.PUSH,
    repository="acme/shop",
    clone_url="/srv/git/shop.git",
    ref="refs/heads/main",
    sha="a" * 40,
    branch="main",
    paths=("src/tea.py",),
)
TASK = m.TaskRequested(
    run="r1", project="acme/shop", stage="unit", task="unit", agent="test", attempt="a1", number=1, token="-",
    checkout=m.Checkout(repository="acme/shop", clone_url="/srv", sha="a" * 40, ref="refs/heads/main"),
    timeout=60.0, heartbeat=5.0,
)  # fmt: skip


# --- the two configuration files -----------------------------------------------------------------------------


def yaml(content: bytes) -> None:
    json.dumps(yaml_source.load_bytes(content, "f").tree, allow_nan=False).encode()


def pipeline(content: bytes) -> None:
    try:
        config = read_pipeline(content.decode("utf-8", "replace"), "pipeline.yml", PROJECT)
    except InvalidConfig as error:
        _told(error)
        raise
    made = plan(config, PROJECT, CHANGE)
    if isinstance(made, Plan):
        assert Plan.model_validate_json(made.model_dump_json()) == made
    for group in config.groups:
        for stage in group:
            for options in (SuiteOptions, LintOptions):
                try:
                    read_options(options, stage.options)
                except Exception as error:
                    if type(error).__name__ != "AgentError":
                        raise


def project(content: bytes) -> None:
    try:
        read_project(content.decode("utf-8", "replace"), "project.yml")
    except InvalidConfig as error:
        _told(error)
        raise


def _told(error: InvalidConfig) -> None:
    assert 1 <= len(error.problems) <= 100
    for each in error.problems:
        str(each).encode()


# --- what tools and scripts leave -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """What a report says: findings, cases, lines that are covered."""

    findings: ToolFindings | None = None
    cases: tuple[Case, ...] = ()
    lines: Lines | None = None


def _lint(tool: str, folder: Path) -> Read:
    asked = LintAsked(folder, LintOptions())
    match tool:
        case "eslint":
            found, _ = eslint.read(folder / "report.json", asked)
        case "pylint":
            found = pylint.read(folder / "report.json", ".")
        case _:
            found = tuple(each for each, _ in ruff.read(folder / "report.json", asked))
    return Read(ToolFindings(tool, "1.0", found))


def _pytest(folder: Path) -> Read:
    return Read(cases=pytest_runner.cases(read_json_lines(folder, "report.jsonl") or ()))


REPORTS: Mapping[str, Callable[[Path], Read]] = {
    "eslint": lambda folder: _lint("eslint", folder),
    "pylint": lambda folder: _lint("pylint", folder),
    "ruff": lambda folder: _lint("ruff", folder),
    "pytest": _pytest,
    "jest": lambda folder: Read(cases=javascript_reports.read_json(folder, folder) or ()),
    "mocha": lambda folder: Read(cases=javascript_reports.read_mocha(folder, folder) or ()),
    "node": lambda folder: Read(cases=javascript_reports.read_node(folder, folder) or ()),
    "coverage.py": lambda folder: Read(lines=pytest_runner.read_lines(folder)),
    "istanbul": lambda folder: Read(lines=javascript_runner.read_lines(folder)),
}
_PLACES = ("report.json", "report.jsonl", "coverage.json", "coverage/coverage-summary.json")


SCRATCH = "TURNOUT_FUZZ_SCRATCH"
_MEMORY = "/dev/shm"  # where there is one: no disk has to keep up


def memory() -> str | None:
    """Where temporary folders are best made; None: where they always are."""
    return _MEMORY if Path(_MEMORY).is_dir() else None


@cache
def scratch() -> Path:
    """One folder a process; the process that made it takes it away, or whoever gave it one in `SCRATCH`."""
    given = os.environ.get(SCRATCH)
    if given:
        (Path(given) / "coverage").mkdir(exist_ok=True)
        return Path(given)
    import atexit

    made = Path(tempfile.mkdtemp(prefix="turnout-fuzz-", dir=memory()))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    (made / "coverage").mkdir()
    return made


def report(content: bytes) -> None:
    """The first line names the tool, the rest is what it wrote; what is read goes on to become a result on the bus."""
    tool, _, written = content.partition(b"\n")
    read = REPORTS.get(tool.decode("latin-1"))
    if read is None:
        return
    folder = scratch()
    for name in _PLACES:
        (folder / name).write_bytes(written)
    found = read(folder)
    if found.findings is not None:
        json.loads(sarif.render([found.findings]))
        result = lint_verdict([found.findings], "high", [])
    else:
        junit.render([(tool.decode("latin-1"), found.cases)])
        result = verdict([Report("r", found.cases, lines=found.lines, exit_code=0)])
    _sent(result)


def _sent(result: Result) -> None:
    """Masked, said to the worker, and sent: what arrives is what was meant."""
    clean = masked(result, Masker({"TOKEN": "hunter2hunter2"}))
    finished = answers.finished(TASK, "w1", NOW, clean)
    assert m.parse(open_record(answers.finished_record(finished, "test"))) == finished


def outputs(content: bytes) -> None:
    found = read_outputs(content, ())
    for name, value in found.items():
        assert "\0" not in name + value
    _sent(Result(outcome=Outcome.SUCCESS, outputs=found))


def artifact(content: bytes) -> None:
    """A name that a repository chose for a file."""
    name = content.decode("utf-8", "surrogateescape")
    folder = scratch() / "kept"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kept: list[Any] = []
    workspace = LocalWorkspace.__new__(LocalWorkspace)
    for attribute, value in {"task": TASK, "kept": folder, "keep": kept.append, "masker": Masker({})}.items():
        setattr(workspace, attribute, value)
    made = workspace.artifact(name, b"x")
    assert (folder / "0").read_bytes() == b"x"
    from turnout.adapters.artifacts import FileArtifacts

    store = FileArtifacts(scratch() / "store")
    store.put(made.key, b"x")
    assert (scratch() / "store" / made.key).resolve().is_relative_to((scratch() / "store").resolve())
    shutil.rmtree(scratch() / "store")


# --- what a repository says of itself -----------------------------------------------------------------------------

_PYTHON_FILES = ("pyproject.toml", "setup.cfg", "requirements.txt", "uv.lock", ".python-version")


@dataclass
class _Project:
    folder: Path = field(default_factory=lambda: scratch() / "project")

    def put(self, name: str, content: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        for each in (*_PYTHON_FILES, "package.json"):
            (self.folder / each).unlink(missing_ok=True)
        (self.folder / name).write_bytes(content)


def python_project(content: bytes) -> None:
    """The first byte chooses the file."""
    place = _Project()
    name = _PYTHON_FILES[content[0] % len(_PYTHON_FILES)] if content else _PYTHON_FILES[0]
    place.put(name, content[1:])
    found = read_python_project(place.folder, "test")
    satisfies((3, 11, 7), found.requires_python)
    text = content[1:].decode("utf-8", "replace")
    wanted("shop", text.split("\n")[:50], ("test",))


def node_project(content: bytes) -> None:
    place = _Project()
    place.put("package.json", content)
    found = read_package_json(place.folder)
    if found is None:
        return
    is_placeholder(found.scripts)
    try:
        read_script(found.scripts)
    except Unclear:
        return
