"""What the seeded team builds, and how its stages end."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from turnout.core.errors import InvalidConfig, Problem
from turnout.core.model import Outcome, Runtime
from turnout.core.plan import Approval, Plan, PlannedStage, PlannedTask, Retries
from turnout.core.result import Artifact, FailedCase, Finding, Findings, Result, Tests

PEOPLE = ("grace", "alan", "barbara", "edsger", "margaret", "dennis")
TITLES = (
    "Make the basket survive a reload",
    "Upgrade Pydantic to 2.12",
    "Say what is wrong with a voucher",
    "Do not charge twice when the bank is slow",
    "Sort reviews by date, newest first",
    "Remove the old checkout",
    "Fix the rounding of foreign currencies",
    "Log the order's number, not the customer's name",
    "Speed up the search by a second index",
    "Let editors undo",
    "Retry webhooks of the payment provider",
    "Translate the invoice into Danish",
    "Pin the base image",
)
IGNORED = (
    ("push", "the pipeline file asks for pushes to main, next and fix/*: this was to docs/readme"),
    ("push", "[skip ci] in the commit's message"),
    ("ping", "a ping asks for nothing"),
    ("issue_comment", "the comment is no command"),
)
BROKEN = InvalidConfig(
    [
        Problem(
            "pipeline.yml",
            7,
            7,
            "pipeline.stages[1].agent",
            "no agent is called 'tset'",
            "did you mean 'test'?",
        ),
        Problem(
            "pipeline.yml",
            12,
            14,
            "pipeline.stages[2].retries.max",
            "got 'two', wanted a number from 0 to 10",
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent does with an attempt: for how long, what it says and leaves."""

    seconds: float
    result: Result
    log: str
    files: tuple[tuple[Artifact, bytes], ...] = ()


def _stage(
    name: str, agent: str, *needs: str, cells: tuple[dict[str, str], ...] = (), **more: object
) -> PlannedStage:
    tasks = tuple(
        PlannedTask(id=f"{name}[{','.join(f'{key}={value}' for key, value in cell.items())}]", cell=cell)
        for cell in cells
    )
    return PlannedStage.model_validate(
        {"name": name, "agent": agent, "needs": needs, "tasks": tasks or (PlannedTask(id=name),)} | more
    )


def plans() -> dict[str, Plan]:
    """By project."""
    pythons = tuple({"python": version} for version in ("3.11", "3.12", "3.13"))
    shards = tuple({"shard": str(number)} for number in range(1, 13))
    once = Retries(max=1)
    shop = (
        _stage("lint", "lint"),
        _stage("unit", "test", cells=pythons, retries=once),
        _stage("build", "build", "lint", "unit", retries=once),
        _stage("security", "security", "build", secrets=("SNYK_TOKEN",)),
        _stage("end-to-end", "test", "build", cells=shards, fail_fast=False, retries=once),
        _stage("staging", "deploy", "security", "end-to-end", environment="staging"),
        _stage("smoke", "script", "staging", rollback="staging"),
        _stage(
            "production",
            "deploy",
            "smoke",
            environment="production",
            approval=Approval(required=1, by=("@acme/release", "@grace")),
            secrets=("KUBE_TOKEN",),
            rollback="production",
        ),
    )
    payments = (
        _stage("lint", "lint"),
        _stage("unit", "test", "lint", cells=pythons[:2], retries=once),
        _stage("contract", "script", "lint", retries=once, runtime=Runtime.KUBERNETES),
        _stage("build", "build", "unit", "contract"),
        _stage("security", "security", "build", allow_failure=True),
        _stage("deploy", "deploy", "security", environment="payments"),
    )
    website = (
        _stage("lint", "lint"),
        _stage("test", "test", "lint", retries=once),
        _stage("build", "build", "test"),
        _stage("deploy", "deploy", "build", environment="website"),
    )
    stages = {"acme/shop": shop, "acme/website": website, "acme/payments": payments}
    return {name: _plan(name, each) for name, each in stages.items()}


def _plan(project: str, stages: tuple[PlannedStage, ...]) -> Plan:
    digest = hashlib.sha256(repr(stages).encode()).hexdigest()
    return Plan(digest=digest, project=project, stages=stages, parallel=10)


SECONDS = {
    "lint": 7.0,
    "unit": 24.0,
    "test": 19.0,
    "build": 48.0,
    "security": 21.0,
    "end-to-end": 36.0,
    "contract": 14.0,
    "staging": 17.0,
    "smoke": 5.0,
    "production": 26.0,
    "deploy": 18.0,
}


def answer(mood: str, chance: random.Random, number: int) -> Callable[[str, str, int], Answer]:
    """``mood``: how the run goes: well, fails (unit: its unit tests), flaky, lost, rollback, errors, cancelled."""
    victim = "unit" if mood == "unit" else chance.choice(("unit", "unit", "end-to-end", "security", "lint"))

    def does(stage: str, task: str, attempt: int) -> Answer:
        seconds = SECONDS.get(stage, 10.0) * chance.uniform(0.75, 1.35)
        if task.endswith("[rollback]"):
            return _well(stage, task, 8.0, chance, number)
        if mood == "cancelled":
            said = Result(outcome=Outcome.CANCELLED, summary="stopped when it was told to")
            return Answer(1.0, said, "\x1b[33mtold to stop\x1b[0m\n")
        if (
            mood in ("fails", "unit")
            and (stage == victim or stage == "test")
            and (task.endswith(("3.12]", "=4]")) or "[" not in task)
        ):
            return _failed(stage, task, seconds, chance, number)
        if (
            mood == "flaky"
            and stage in ("unit", "test", "contract")
            and attempt == 1
            and not task.endswith("3.11]")
        ):
            return _failed(stage, task, seconds, chance, number)
        if mood == "lost" and stage == "build" and attempt == 1:
            said = Result(outcome=Outcome.ERROR, lost=True, reason="lost: its worker's machine was shut down")
            return Answer(30.0, said, "\x1b[31mthe worker has gone\x1b[0m\n")
        if mood == "errors" and stage == "security":
            said = Result(
                outcome=Outcome.ERROR,
                summary="Trivy could not scan the image",
                reason="the vulnerability database is 9 days old; renew it: `trivy image --download-db-only`",
            )
            return Answer(6.0, said, "\x1b[31mFATAL\x1b[0m the database is too old\n")
        if mood == "rollback" and stage == "smoke":
            said = Result(
                outcome=Outcome.FAILURE, summary="3 of 40 requests to /basket answered 502", exit_code=1
            )
            return Answer(seconds, said, "GET /basket \x1b[1;31m502\x1b[0m\n" * 3)
        return _well(stage, task, seconds, chance, number, again=attempt > 1)

    return does


def _well(
    stage: str, task: str, seconds: float, chance: random.Random, number: int, *, again: bool = False
) -> Answer:
    log = [f"\x1b[36m==>\x1b[0m {task}: commit checked out in 0.4 s"]
    match stage:
        case "unit" | "test" | "end-to-end":
            total = 412 + number % 30 if stage != "end-to-end" else 18
            log += _pytest(total, chance)
            tests = Tests(
                total=total,
                passed=total - 3,
                skipped=3,
                coverage=None
                if stage == "end-to-end"
                else round(84 + number / 40 + chance.uniform(-0.5, 0.5), 1),
                flaky=("tests/test_basket.py::test_two_tabs_add_at_once",) if again else (),
                duration=seconds - 2,
            )
            report = f"<testsuite tests='{total}'/>".encode()
            artifact = Artifact(name="junit.xml", key="-", size=0, sha256="", media_type="application/xml")
            result = Result(
                outcome=Outcome.SUCCESS,
                summary=f"{total - 3} passed, 3 skipped" + (", 1 flaky" if again else ""),
                tests=tests,
                tools={"pytest": "8.4.1"},
                exit_code=0,
            )
            return Answer(seconds, result, "\n".join(log) + "\n", ((artifact, report),))
        case "lint":
            found = Findings(counts={"low": number % 4, "note": 2}, named=_lint(number % 4))
            result = Result(
                outcome=Outcome.SUCCESS,
                summary=f"{number % 4} warnings",
                findings=found,
                tools={"ruff": "0.12.4"},
            )
        case "security":
            counts = {"high": max(0, 3 - number // 50), "medium": 6 + number % 3, "low": 11}
            found = Findings(
                counts=counts, named=_vulnerabilities(counts["high"]), new={"medium": number % 2}, ignored=1
            )
            result = Result(
                outcome=Outcome.SUCCESS,
                summary="nothing above the threshold",
                findings=found,
                tools={"trivy": "0.67.0"},
            )
        case "build":
            digest = f"sha256:{chance.getrandbits(256):064x}"
            outputs = {"image": f"registry.example/shop:{number}", "digest": digest}
            sbom = json.dumps({"bomFormat": "CycloneDX", "components": []}).encode()
            log += [
                f"\x1b[1mSTEP {step}/9:\x1b[0m RUN make {what}"
                for step, what in enumerate(("base", "deps", "app"), 1)
            ]
            artifact = Artifact(
                name="sbom.cdx.json", key="-", size=0, sha256="", media_type="application/json"
            )
            result = Result(
                outcome=Outcome.SUCCESS,
                summary="214 MB in 11 layers, pushed",
                outputs=outputs,
                tools={"buildah": "1.41"},
            )
            return Answer(seconds, result, "\n".join(log) + "\n", ((artifact, sbom),))
        case "staging" | "production" | "deploy":
            result = Result(
                outcome=Outcome.SUCCESS,
                summary="3 of 3 pods are ready",
                outputs={"revision": str(number)},
                tools={"helm": "3.19"},
            )
        case _:
            result = Result(outcome=Outcome.SUCCESS, summary="all checks passed", exit_code=0)
    log.append(f"\x1b[32m{result.summary}\x1b[0m")
    return Answer(seconds, result, "\n".join(log) + "\n")


def _failed(stage: str, task: str, seconds: float, chance: random.Random, number: int) -> Answer:
    log = [f"\x1b[36m==>\x1b[0m {task}: commit checked out in 0.4 s"]
    if stage == "lint":
        found = Findings(counts={"high": 1, "low": 3}, named=_lint(4))
        result = Result(
            outcome=Outcome.FAILURE, summary="1 finding at or above `high`", findings=found, exit_code=1
        )
        return Answer(
            seconds,
            result,
            "\n".join([*log, "\x1b[31msrc/shop/price.py:41: F821 undefined name\x1b[0m"]) + "\n",
        )
    if stage == "security":
        found = Findings(
            counts={"critical": 1, "high": 3, "medium": 7},
            named=_vulnerabilities(4),
            new={"critical": 1},
            compared_with="main",
        )
        result = Result(
            outcome=Outcome.FAILURE, summary="1 critical vulnerability is new", findings=found, exit_code=1
        )
        return Answer(
            seconds, result, "\n".join([*log, "\x1b[1;31mCRITICAL\x1b[0m openssl CVE-2026-1190"]) + "\n"
        )
    if stage == "contract":
        result = Result(outcome=Outcome.FAILURE, summary="the bank's sandbox answered 503", exit_code=1)
        return Answer(seconds, result, "\n".join([*log, "HTTP \x1b[31m503\x1b[0m"]) + "\n")
    cases = (
        FailedCase(
            id="tests/test_price.py::test_half_a_cent_is_rounded_up",
            name="test_half_a_cent_is_rounded_up",
            message="E   AssertionError: assert Decimal('10.12') == Decimal('10.13')\n"
            "E    +  where Decimal('10.12') = rounded(Decimal('10.125'))\n\ntests/test_price.py:41: AssertionError",
        ),
        FailedCase(
            id="tests/test_basket.py::test_two_tabs_add_at_once",
            name="test_two_tabs_add_at_once",
            message="E   sqlalchemy.exc.OperationalError: database is locked\n\n"
            "tests/test_basket.py:88: OperationalError",
        ),
    )
    total = 412 + number % 30
    tests = Tests(
        total=total,
        passed=total - 5,
        failed=2,
        skipped=3,
        failed_cases=cases,
        coverage=83.9,
        duration=seconds,
    )
    log += _pytest(total, chance)
    log += [f"\x1b[31mFAILED\x1b[0m {case.id}" for case in cases]
    log += [f"\x1b[31m\x1b[1m2 failed\x1b[0m, \x1b[32m{total - 5} passed\x1b[0m in {seconds:.1f}s"]
    artifact = Artifact(name="junit.xml", key="-", size=0, sha256="", media_type="application/xml")
    result = Result(
        outcome=Outcome.FAILURE,
        summary=f"2 failed, {total - 5} passed",
        tests=tests,
        tools={"pytest": "8.4.1"},
        exit_code=1,
    )
    return Answer(seconds, result, "\n".join(log) + "\n", ((artifact, b"<testsuite failures='2'/>"),))


def _pytest(total: int, chance: random.Random) -> list[str]:
    lines = [
        "::group::Install",
        "Resolved 61 packages in 0.2 s",
        "\x1b[32m✓\x1b[0m installed",
        "::endgroup::",
    ]
    lines += ["\x1b[1m============================= test session starts =============================\x1b[0m"]
    lines += [f"collected {total} items", ""]
    for number in range(min(total // 6, 70)):
        percent = 100 * (number + 1) // min(total // 6, 70)
        lines.append(
            f"tests/test_{chance.choice(('basket', 'price', 'order', 'mail', 'api'))}.py::test_{number:03} "
            f"\x1b[32mPASSED\x1b[0m \x1b[2m[{percent:3}%]\x1b[0m"
        )
    return lines


def _lint(count: int) -> tuple[Finding, ...]:
    known = (
        Finding(
            rule="F821",
            severity="high",
            message="undefined name `rounded`",
            path="src/shop/price.py",
            line=41,
        ),
        Finding(
            rule="PLR0913",
            severity="low",
            message="too many arguments (7 > 5)",
            path="src/shop/order.py",
            line=118,
        ),
        Finding(
            rule="B006",
            severity="low",
            message="mutable default argument",
            path="src/shop/basket.py",
            line=12,
        ),
        Finding(
            rule="SIM102", severity="low", message="nested ifs can be one", path="src/shop/mail.py", line=77
        ),
    )
    return known[4 - count :] if count else ()


def _vulnerabilities(count: int) -> tuple[Finding, ...]:
    known = (
        (
            "CVE-2026-1190",
            "critical",
            "openssl: buffer overflow in record parsing",
            "openssl",
            "3.0.15",
            "3.0.17",
        ),
        ("CVE-2026-0412", "high", "zlib: heap overflow", "zlib", "1.2.13", "1.3.2"),
        ("CVE-2025-9921", "high", "urllib3: redirects keep the credentials", "urllib3", "2.2.1", "2.5.0"),
        ("CVE-2025-8801", "high", "glibc: out-of-bounds read in iconv", "libc6", "2.36", ""),
    )
    return tuple(
        Finding(
            rule=rule,
            severity=severity,
            message=message,
            kind="vulnerability",
            package=package,
            installed=had,
            fixed=fixed,
            source="image",
            new=severity == "critical",
        )
        for rule, severity, message, package, had, fixed in known[4 - count :]
    )
