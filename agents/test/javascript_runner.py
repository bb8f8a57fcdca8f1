"""Running Jest, Mocha, Vitest and Node.js's own tests, the way the project's ``test`` script does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agents.sdk.junit import Case, Status
from agents.sdk.node_env import NodeEnv, node_env
from agents.sdk.package_json import PackageJson, read_package_json
from agents.sdk.toolchain import open_folder, read_json, written_by
from agents.sdk.workspace import AgentError, ToolRun, Workspace
from agents.test.dialects import DIALECTS, Dialect, in_script
from agents.test.npm_script import Command, Unclear, is_placeholder, read_script
from agents.test.report import Asked, Lines, Report, ended_by_signal

COVERAGE = {"c8": "c8@10.1.3"}

_CONFIGURED = {
    "jest": ("jest.config.*",),
    "vitest": ("vitest.config.*",),
    "mocha": (".mocharc.*",),
}


def javascript_runners(root: Path) -> list[str]:
    """The runners of a project's ``test`` script, in its order; otherwise those that it configures or depends on.

    ``npm`` where there is a script, but none of the runners that are known is in it.
    """
    package = read_package_json(root)
    if package is None:
        return []
    named = list(dict.fromkeys(command.runner for command in _script(package) or () if command.runner))
    if named:
        return named
    text = " ".join(package.scripts.values())
    for runner, patterns in _CONFIGURED.items():
        uses = runner in package.wants and (is_placeholder(package.scripts) or runner in text)
        if package.has(runner) or uses or any(True for pattern in patterns for _ in root.glob(pattern)):
            return [runner]
    return [] if is_placeholder(package.scripts) else ["npm"]


def run_javascript(workspace: Workspace, asked: Asked, runner: str) -> Report:
    """Raises: AgentError when the runner or the project's dependencies cannot be installed."""
    package = read_package_json(asked.root)
    if package is None:
        raise AgentError(f"{runner}: there is no package.json in {asked.cwd}", "say with.working_directory")
    dialect = DIALECTS.get(runner)
    tools = {dialect.package: dialect.tool} if dialect and dialect.package else {}
    if dialect and asked.measured and dialect.coverage == "c8":
        tools |= COVERAGE
    with node_env(workspace, asked.root, tools=tools, wanted=asked.options.node, install=asked.npm()) as node:
        failure = _prepare(workspace, asked, package, node)
        if failure:
            return Report(runner, tools={"node": node.version}, failure=failure)
        if dialect is None:
            return _npm_test(workspace, asked, node)
        return _Session(workspace, asked, package, node, dialect).run()


def _prepare(workspace: Workspace, asked: Asked, package: PackageJson, node: NodeEnv) -> str:
    """Runs the project's own install scripts, as an install in the checkout would have done. Returns why it failed."""
    for name in ("postinstall", "prepare"):
        script = package.scripts.get(name, "")
        if not script or script.split()[0] in ("husky", "simple-git-hooks", "is-ci", "lefthook"):
            continue
        ran = workspace.run([node.npm, "run", "--silent", name], cwd=asked.cwd, env=node.env, quiet=True)
        if not ran.ok:
            return f"the script {name!r} of package.json failed"
    return ""


def _npm_test(workspace: Workspace, asked: Asked, node: NodeEnv) -> Report:
    workspace.log("No runner that is known is in the test script: only its exit status will be told")
    arguments = ["--", *asked.options.args] if asked.options.args else []
    ran = workspace.run([node.npm, "test", *arguments], cwd=asked.cwd, env=node.env)
    tools = {"node": node.version}
    failure = "" if ran.ok else f"npm test {ended_by_signal(ran) or f'ended with exit code {ran.code}'}"
    return Report("npm", tools=tools, failure=failure, counted=False, exit_code=ran.code)


def _script(package: PackageJson) -> tuple[Command, ...] | None:
    """None: it cannot be taken apart."""
    try:
        return read_script(package.scripts)
    except Unclear:
        return None


class _Session:
    """One runner on one checkout."""

    def __init__(
        self, workspace: Workspace, asked: Asked, package: PackageJson, node: NodeEnv, dialect: Dialect
    ) -> None:
        self._workspace = workspace
        self._asked = asked
        self._package = package
        self._node = node
        self._dialect = dialect

    def run(self) -> Report:
        dialect, node = self._dialect, self._node
        tools = {"node": node.version}
        if dialect.package:
            tools[dialect.name] = node.has(dialect.package) or ""
        commands = _script(self._package)
        if commands is None:
            self._workspace.log(
                f"The test script is more than can be taken apart; running {dialect.name} by itself"
            )
        mine = [each for each in commands or () if each.runner == dialect.name]
        if mine:
            failure = self._before(commands or (), mine[0])
            if failure:
                return Report(dialect.name, tools=tools, failure=failure)
        reports = [self._one(index, each.text) for index, each in enumerate(mine)] or [self._one(0, "")]
        return Report(
            dialect.name,
            cases=tuple(case for report in reports for case in report.cases),
            tools=tools,
            lines=_sum([report.lines for report in reports if report.lines]),
            failure=next((report.failure for report in reports if report.failure), ""),
            error=next((report.error for report in reports if report.error), ""),
            exit_code=next((report.exit_code for report in reports if report.exit_code != 0), 0),
        )

    def _before(self, commands: Sequence[Command], until: Command) -> str:
        """What the script does before its tests: builds, mostly. Returns what failed."""
        for each in commands[: commands.index(until)]:
            if each.runner:
                continue
            if not self._workspace.run(["sh", "-c", each.text], cwd=self._asked.cwd, env=self._node.env).ok:
                return f"`{each.text}`, which the test script runs before its tests, failed"
        return ""

    def _one(self, index: int, text: str) -> Report:
        asked, dialect = self._asked, self._dialect
        folder = self._workspace.scratch / f"{dialect.name}-{index}"
        open_folder(folder)
        arguments = [*dialect.arguments(asked, folder), *asked.options.args]
        if text:
            argv = in_script(dialect, text, arguments)
        else:
            program = self._node.command(dialect.package) if dialect.package else [self._node.node]
            argv = [
                *program,
                *dialect.base,
                *arguments,
                *(asked.options.paths if dialect.name == "node" else ()),
            ]
        if asked.measured and dialect.coverage == "c8":
            argv = [
                *self._node.command("c8"), "--reporter=json-summary", "--reporter=text-summary",
                f"--reports-dir={folder / 'coverage'}", f"--temp-directory={folder / 'v8'}", *argv,
            ]  # fmt: skip
        report = {"TURNOUT_TEST_REPORT": str(folder / "report.jsonl")}
        ran = self._workspace.run(argv, cwd=asked.cwd, env={**self._node.env, **report})
        cases = dialect.read(folder, asked.root)
        return judge(ran, cases, read_lines(folder), dialect, asked)


def judge(
    ran: ToolRun, found: tuple[Case, ...] | None, lines: Lines | None, dialect: Dialect, asked: Asked
) -> Report:
    """What the exit code and the recorded cases say together. A case that failed counts, whatever the code."""
    if asked.only and found:  # the runner reports the cases that it was not asked for as skipped
        found = tuple(case for case in found if case.status is not Status.SKIPPED or case.id in asked.only)
    bad = any(case.status in (Status.FAILED, Status.ERROR) for case in found or ())
    failure = error = ""
    if ran.code is None:
        failure = f"{dialect.name} {ended_by_signal(ran)}"
    elif found is None and ran.code:
        said = f"{dialect.name} ended with exit code {ran.code} before any test ran; the log has its words"
        failure, error = (said, "") if dialect.silent == "failure" else ("", said)
    elif not found and not asked.options.allow_no_tests:
        error = f"{dialect.name} found no tests; name them with with.paths, or say `allow_no_tests: true`"
    elif ran.code and not bad:
        failure = f"{dialect.name} ended with exit code {ran.code}, but no case failed (a threshold, perhaps)"
    elif asked.measured and lines is None and not bad:
        error = f"{dialect.name} wrote no coverage report"
    return Report(dialect.name, found or (), lines=lines, failure=failure, error=error, exit_code=ran.code)


@written_by("the coverage report")
def read_lines(folder: Path) -> Lines | None:
    """From Istanbul's ``json-summary``, which c8 and the runners' own coverage write."""
    content = read_json(folder, "coverage/coverage-summary.json")
    if not isinstance(content, dict):
        return None
    lines = content["total"]["lines"]
    return Lines(int(lines["covered"]), int(lines["total"]))


def _sum(lines: Sequence[Lines]) -> Lines | None:
    return Lines(sum(each.covered for each in lines), sum(each.total for each in lines)) if lines else None
