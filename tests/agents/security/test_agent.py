"""The whole agent, over what the real scanners have answered once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.sdk.interpreter import Interpreter
from agents.sdk.workspace import AgentError
from agents.security import agent, snyk
from agents.security.agent import built_image, run
from local.trivy.database import write as write_database
from tests.agents.security import replayed
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.messages import Baseline
from turnout.core.model import Outcome
from turnout.core.result import Findings, Result

DIGEST = "sha256:" + "a" * 64


class Bench:
    """``workspace``: with a scanner, and a database that was made just now."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.set = monkeypatch.setenv
        self.unset = monkeypatch.delenv
        self.workspace = PlainWorkspace(folder / "attempt")
        self.made(timedelta(0))
        self.set("TURNOUT_TRIVY", str(replayed.trivy(folder)))
        monkeypatch.setattr(snyk, "find_node", lambda *_: Interpreter("/bin/sh", "20.0.0"))

    def made(self, ago: timedelta) -> None:
        self.set(
            "TURNOUT_TRIVY_DATABASE",
            str(write_database(self.folder / "database", datetime.now(UTC) - ago)),
        )

    def snyk(self, report: str | Path, code: int, before: str = "") -> None:
        self.set("TURNOUT_SNYK", str(replayed.snyk(self.folder, report, code, before)))

    def run(self, fields: dict[str, Any] | None = None, **options: Any) -> Result:
        return run(task("security", options, **(fields or {})), self.workspace)

    def findings(self, fields: dict[str, Any] | None = None, **options: Any) -> Findings:
        found = self.run(fields, **options).findings
        assert found is not None
        return found

    @property
    def sarif(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.workspace.kept["security.sarif"])
        return content


TOKEN = {"secrets": ("SNYK_TOKEN",)}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_findings_of_every_kind_fail_the_stage_and_are_kept_as_sarif(bench: Bench) -> None:
    result = bench.run()
    assert result.outcome is Outcome.FAILURE
    assert result.findings is not None
    found = {each.rule: each for each in result.findings.named}
    flaw = found["CVE-2021-33503"]
    assert (flaw.kind, flaw.severity, flaw.package, flaw.installed, flaw.fixed, flaw.path, flaw.line) == (
        "vulnerability", "high", "urllib3", "1.26.4", "1.26.5", "requirements.txt", 1,
    )  # fmt: skip
    assert flaw.url.startswith("https://")
    secret = found["aws-access-key-id"]
    assert (secret.kind, secret.severity, secret.path, secret.line) == (
        "secret",
        "critical",
        "settings.py",
        1,
    )
    root = found["DS-0002"]
    assert (root.kind, root.path, root.line) == ("misconfiguration", "Dockerfile", 2)
    assert result.summary == "trivy found 5 (1 critical, 2 high, 1 medium, 1 low)"
    assert result.findings.remarks == ("2 packages of 2 dependency files were checked",)
    assert result.tools == {"trivy": "0.76.0"}
    assert [artifact.name for artifact in result.artifacts] == ["security.sarif"]
    (part,) = bench.sarif["runs"]
    of_flaw = next(each for each in part["results"] if each["ruleId"] == "CVE-2021-33503")
    assert of_flaw["properties"]["fixed"] == "1.26.5"
    rule = part["tool"]["driver"]["rules"][of_flaw["ruleIndex"]]
    assert (rule["id"], rule["properties"]["security-severity"]) == ("CVE-2021-33503", "8.0")


@pytest.mark.parametrize(
    ("fail_on", "outcome"), [("critical", "failure"), ("high", "failure"), ("never", "success")]
)
def test_the_threshold_decides(bench: Bench, fail_on: str, outcome: str) -> None:
    assert bench.run(fail_on=fail_on).outcome == outcome


def test_what_is_ignored_does_not_count_and_is_kept_with_its_reason(bench: Bench) -> None:
    ignore = [
        {"id": each, "reason": "known to us", "until": "2999-01-01"}
        for each in ("CVE-2021-33503", "DS-0002", "aws-access-key-id")
    ]
    result = bench.run(ignore=ignore)
    assert result.outcome is Outcome.SUCCESS
    assert result.summary == "trivy found 2 (1 medium, 1 low); 3 ignored"
    (part,) = bench.sarif["runs"]
    suppressed = {each["ruleId"]: each["suppressions"] for each in part["results"] if "suppressions" in each}
    assert suppressed.keys() == {"CVE-2021-33503", "DS-0002", "aws-access-key-id"}
    assert suppressed["DS-0002"] == [{"kind": "external", "justification": "known to us (until 2999-01-01)"}]


def test_an_entry_that_has_expired_counts_again_and_the_summary_says_so(bench: Bench) -> None:
    flaw = {"id": "CVE-2021-33503", "reason": "no attacker gets there", "until": "2020-01-31"}
    result = bench.run(ignore=[flaw], fail_on="high")
    assert result.outcome is Outcome.FAILURE
    assert (
        "with.ignore[0]: CVE-2021-33503 (until 2020-01-31: no attacker gets there) has expired"
        in result.summary
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"ignore": [{"id": "CVE-1", "until": "2030-01-01"}]}, r"with\.ignore\[0\]\.reason"),
        ({"ignore": [{"id": "CVE-1", "reason": "x"}]}, r"with\.ignore\[0\]\.until"),
        ({"ignore": [{"id": "CVE-1", "reason": "", "until": "2030-01-01"}]}, r"with\.ignore\[0\]\.reason"),
        ({"fail_on": "worst"}, r"with\.fail_on: expected 'critical'"),
        ({"database": {"max_age": 7}}, r"with\.database\.max_age: expected a duration"),
        ({"image": "--config=x"}, r"with\.image: expected the name of an image"),
        ({"fial_on": "high"}, "did you mean 'fail_on'"),
    ],
)
def test_mistakes_in_the_options_are_named_where_they_stand(
    bench: Bench, option: dict[str, Any], message: str
) -> None:
    with pytest.raises(AgentError, match=message):
        bench.run(**option)


# --- a scanner that could not scan -----------------------------------------------------------------------


def test_without_a_database_it_is_an_error_that_says_how_to_make_one(bench: Bench) -> None:
    bench.set("TURNOUT_TRIVY_DATABASE", str(bench.folder / "nowhere"))
    with pytest.raises(AgentError, match=r"no vulnerability database in .*nowhere .*--download-db-only"):
        bench.run()
    assert bench.findings(scan=["secrets", "configuration"], fail_on="never").counts, "these need none"


def test_a_database_that_cannot_be_fetched_is_an_error(bench: Bench) -> None:
    bench.unset("TURNOUT_TRIVY_DATABASE")
    bench.set("TURNOUT_TRIVY", str(replayed.trivy(bench.folder, before="echo no route; exit 1")))
    with pytest.raises(AgentError, match="could not fetch its vulnerability database"):
        bench.run()
    assert "no route" in bench.workspace.text
    assert list((bench.workspace.cache / "trivy").glob("*/")) == [], "nothing half-made is left"


def test_a_database_that_is_fetched_serves_the_whole_day(bench: Bench) -> None:
    made = write_database(bench.folder / "fetched", datetime.now(UTC))
    bench.unset("TURNOUT_TRIVY_DATABASE")
    fetch = 'case $* in *--download-db-only*) while [ "$1" != --cache-dir ]; do shift; done; '
    fetch += f'cp -r {made}/db "$2"; exit;; esac'
    bench.set("TURNOUT_TRIVY", str(replayed.trivy(bench.folder, before=fetch)))
    assert bench.run().outcome is Outcome.FAILURE
    assert bench.run().outcome is Outcome.FAILURE
    assert sum("--download-db-only" in each for each in bench.workspace.ran) == 1


def test_an_old_database_is_said_and_where_a_limit_is_given_an_error(bench: Bench) -> None:
    bench.made(timedelta(days=8))
    assert "trivy's database is 8 days old" in bench.findings().remarks[0]
    assert not any("old" in each for each in bench.findings(database={"warn_after": "9d"}).remarks)
    with pytest.raises(AgentError, match=r"database is 8 days old .* with\.database\.max_age is 7 days"):
        bench.run(database={"max_age": "7d"})


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"UpdatedAt": 3}', '{"UpdatedAt": "yesterday"}'])
def test_a_database_whose_age_nobody_can_tell_is_an_error(bench: Bench, content: str) -> None:
    (bench.folder / "database/db/metadata.json").write_text(content)
    with pytest.raises(AgentError, match=r"db/metadata\.json of Trivy's database cannot be read"):
        bench.run()


def test_a_scanner_that_is_not_there_is_an_error_that_says_how_to_get_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.unset("TURNOUT_TRIVY")
    monkeypatch.setattr(bench.workspace, "which", lambda program: None)
    with pytest.raises(AgentError, match=r"there is no trivy where this stage runs .*TURNOUT_TRIVY=PATH"):
        bench.run()


def test_a_scanner_that_ends_badly_is_an_error_even_with_a_report(bench: Bench) -> None:
    bench.set("TURNOUT_TRIVY", str(replayed.trivy(bench.folder, code=1)))
    with pytest.raises(AgentError, match=r"trivy could not scan the repository \(exit code 1\)"):
        bench.run()


def test_a_scanner_that_takes_too_long_is_an_error(bench: Bench) -> None:
    bench.set("TURNOUT_TRIVY", str(replayed.trivy(bench.folder, before="exec sleep 60")))
    with pytest.raises(AgentError, match=r"trivy had not ended after 200ms .*with\.time_limit"):
        bench.run(time_limit="200ms")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "oops",
        "[]",
        "{}",
        '{"SchemaVersion": 3}',
        '{"SchemaVersion": 2, "Results": 7}',
        '{"SchemaVersion": 2, "Results": [{"Target": "x", "Vulnerabilities": [{"PkgName": "p"}]}]}',
        '{"SchemaVersion": 2, "Results": [{"Target": "x", "Secrets": [{"RuleID": ["a"]}]}]}',
        '{"SchemaVersion": 2, "Results": [{"Target": "x", "Secrets": [{"RuleID": "a", "StartLine": "b"}]}]}',
        "[" * 100_000,
    ],
)
def test_a_report_of_no_known_shape_is_an_error(bench: Bench, content: str) -> None:
    report = bench.folder / "report.json"
    report.write_text(content)
    bench.set("TURNOUT_TRIVY", str(replayed.trivy(bench.folder, report)))
    with pytest.raises(AgentError, match=r"trivy('s report cannot be read| wrote no report)"):
        bench.run()


def test_what_a_report_says_is_told_on_one_line_and_within_bounds(bench: Bench) -> None:
    hostile = {
        "RuleID": "r\n▸ all is well",
        "Title": "x\x1b[2J" + "y" * 9000,
        "StartLine": 1,
        "Severity": "Awful",
    }
    report = bench.folder / "report.json"
    report.write_text(json.dumps({"SchemaVersion": 2, "Results": [{"Target": "a\nb", "Secrets": [hostile]}]}))
    bench.set("TURNOUT_TRIVY", str(replayed.trivy(bench.folder, report)))
    (found,) = bench.findings(scan="secrets").named
    assert (found.rule, found.path, found.severity) == ("r ▸ all is well", "a b", "medium")
    assert found.message.startswith("x�[2Jyyy")
    assert len(found.message) <= 500


def test_more_findings_than_people_can_read_are_an_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.security.scanning.MOST_FINDINGS", 4)
    with pytest.raises(AgentError, match=r"trivy found 5 things, at most 4 .*with\.skip"):
        bench.run()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("pyproject.toml", "[project]\ndependencies = ['x']\n"),
        ("pyproject.toml", "[tool.poetry.dependencies]\npython = '3.11'\nx = '1'\n"),
        ("package.json", '{"dependencies": {"x": "1"}}'),
    ],
)
def test_dependencies_without_a_lock_are_an_error_and_not_nothing_found(
    bench: Bench, file: str, content: str
) -> None:
    report = bench.folder / "report.json"
    report.write_text('{"SchemaVersion": 2}')
    bench.set("TURNOUT_TRIVY", str(replayed.trivy(bench.folder, report)))
    write(bench.workspace.path, {file: content})
    with pytest.raises(AgentError, match=f"could not read the dependencies that {file} names"):
        bench.run()
    assert bench.run(scan=["secrets"]).outcome is Outcome.SUCCESS
    write(bench.workspace.path, {"pyproject.toml": "[project]\nname = 'x'\n", "package.json": "{}"})
    assert bench.run().outcome is Outcome.SUCCESS, "nothing is named"


# --- Snyk ----------------------------------------------------------------------------------------------


def test_snyk_joins_in_where_the_stage_has_its_token_and_what_both_find_counts_once(bench: Bench) -> None:
    bench.snyk("snyk-found.json", 1)
    result = bench.run(TOKEN)
    assert result.summary == "trivy and snyk found 6 (1 critical, 3 high, 1 medium, 1 low)"
    assert result.tools == {"trivy": "0.76.0", "snyk": "1.1307.4"}
    assert result.findings is not None
    (flaw,) = [each for each in result.findings.named if each.rule == "CVE-2021-23337"]
    assert (flaw.package, flaw.installed, flaw.fixed, flaw.path) == (
        "lodash",
        "4.17.20",
        "4.17.21",
        "package-lock.json",
    )
    assert flaw.url == "https://security.snyk.io/vuln/SNYK-JS-LODASH-1040724"
    assert [each["tool"]["driver"]["name"] for each in bench.sarif["runs"]] == ["trivy", "snyk"]


def test_snyk_finding_nothing_is_a_success(bench: Bench) -> None:
    bench.snyk("snyk-clean.json", 0)
    result = bench.run(TOKEN, tool="snyk")
    assert (result.outcome, result.summary) == (Outcome.SUCCESS, "snyk found nothing")
    assert result.findings is not None
    assert result.findings.remarks == ("snyk checked 1 dependencies of 1 projects",)


def test_without_a_token_snyk_is_an_error_that_says_how_to_give_one(bench: Bench) -> None:
    bench.snyk("snyk-clean.json", 0)
    with pytest.raises(AgentError, match=r"snyk has no token.*secrets: \[SNYK_TOKEN\]"):
        bench.run(tool="snyk")


def test_snyk_that_could_not_run_is_an_error_in_its_own_words(bench: Bench) -> None:
    bench.snyk("snyk-refused.json", 2)
    with pytest.raises(AgentError, match=r"snyk could not run \(exit code 2: Authentication failed"):
        bench.run(TOKEN, tool="snyk")


def test_nothing_to_test_is_an_error_where_snyk_was_asked_for_and_otherwise_said(bench: Bench) -> None:
    bench.snyk("snyk-nothing.json", 3)
    asked = bench.run(TOKEN, tool=["snyk", "trivy"], fail_on="never")
    assert asked.outcome is Outcome.ERROR
    assert asked.reason.startswith("snyk found no project that it knows")
    result = bench.run(TOKEN, fail_on="never")
    assert result.outcome is Outcome.SUCCESS
    assert result.findings is not None
    assert "snyk found no project that it knows in ." in result.findings.remarks


def test_where_one_scanner_could_not_work_it_is_an_error_with_what_the_other_found(bench: Bench) -> None:
    bench.snyk("snyk-refused.json", 2)
    result = bench.run(TOKEN, fail_on="never")
    assert result.outcome is Outcome.ERROR
    assert "snyk could not run" in result.reason
    assert "trivy found 5" in result.summary


@pytest.mark.parametrize(
    ("report", "code", "message"),
    [
        ("snyk-clean.json", 1, "says that it found something, and its report has nothing"),
        ("snyk-found.json", 0, "says that it found nothing, and its report has something"),
        ("snyk-refused.json", 0, "could not test a project: Authentication failed"),
        ("snyk-clean.json", 127, r"could not run \(exit code 127"),
    ],
)
def test_an_exit_code_and_a_report_that_disagree_are_an_error(
    bench: Bench, report: str, code: int, message: str
) -> None:
    bench.snyk(report, code)
    with pytest.raises(AgentError, match=message):
        bench.run(TOKEN, tool="snyk")


@pytest.mark.parametrize("content", ["", "oops", "7", "[7]", "[]x", '{"vulnerabilities": [{}]}'])
def test_a_report_of_snyk_of_no_known_shape_is_an_error(bench: Bench, content: str) -> None:
    report = bench.folder / "report.json"
    report.write_text(content)
    bench.snyk(report, 0)
    with pytest.raises(AgentError, match=r"snyk('s report cannot be read| could not test a project)"):
        bench.run(TOKEN, tool="snyk")


def test_snyk_that_takes_too_long_is_an_error(bench: Bench) -> None:
    bench.snyk("snyk-clean.json", 0, before="exec sleep 60")
    with pytest.raises(AgentError, match="snyk had not ended after 200ms"):
        bench.run(TOKEN, tool="snyk", time_limit="200ms")


# --- the image -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["r.example:5000/shop:abc", "r.example:5000/shop", "r.example:5000/shop@sha256:0"]
)
def test_the_image_is_the_one_that_was_built_by_its_digest(name: str) -> None:
    built = task("security", upstream={"build": {"image": name, "digest": DIGEST}, "test": {"x": "y"}})
    assert built_image(built) == f"r.example:5000/shop@{DIGEST}"


def test_an_image_is_scanned_with_the_network_and_its_paths_are_those_in_it(bench: Bench) -> None:
    upstream = {"upstream": {"build": {"image": "r.example/shop:1", "digest": DIGEST}}}
    found = bench.findings(upstream, scan=["image"])
    assert bench.workspace.ran[-1][:3] == (str(bench.folder / "trivy"), "image", "--image-src")
    assert bench.workspace.ran[-1][-2:] == ("--", f"r.example/shop@{DIGEST}")
    assert {each.source for each in found.named} == {"image"}
    places = [each["locations"] for each in bench.sarif["runs"][0]["results"]]
    assert [{"logicalLocations": [{"fullyQualifiedName": "image:requirements.txt"}]}] in places
    bench.run(upstream)
    assert [each[1] for each in bench.workspace.ran[-2:]] == ["fs", "image"], "without being asked for"


@pytest.mark.parametrize(
    ("upstream", "message"),
    [
        ({"build": {"image": "--config=/x", "digest": DIGEST}}, "name no image by its digest"),
        ({"build": {"image": "shop", "digest": "latest"}}, "name no image by its digest"),
        (
            {"a": {"image": "a", "digest": DIGEST}, "b": {"image": "b", "digest": DIGEST}},
            r"say which one with with\.image",
        ),
    ],
)
def test_outputs_that_name_no_one_image_are_an_error(
    bench: Bench, upstream: dict[str, dict[str, str]], message: str
) -> None:
    with pytest.raises(AgentError, match=message):
        bench.run({"upstream": upstream})


def test_an_image_that_nobody_has_built_is_an_error_where_it_was_asked_for(bench: Bench) -> None:
    with pytest.raises(AgentError, match=r"with\.scan: there is no image"):
        bench.run(scan=["image"])


# --- what is new -----------------------------------------------------------------------------------------


BASE = {"baseline": Baseline(key="k", branch="main")}


def without(report: bytes, rule: str) -> bytes:
    content = json.loads(report)
    for part in content["runs"]:
        part["results"] = [each for each in part["results"] if each["ruleId"] != rule]
    return json.dumps(content).encode()


def test_the_report_says_what_the_base_branch_does_not_have(bench: Bench) -> None:
    bench.run({"run": "run-0"})
    bench.workspace.earlier = without(bench.workspace.kept["security.sarif"], "CVE-2021-33503")
    result = bench.run(BASE)
    assert result.summary == "trivy found 5 (1 critical, 2 high, 1 medium, 1 low); new since main: 1 (1 high)"
    assert result.findings is not None
    assert result.findings.named[0].rule == "CVE-2021-33503", "what is new comes first"
    assert [each.new for each in result.findings.named] == [True, False, False, False, False]
    states = {each["ruleId"]: each["baselineState"] for each in bench.sarif["runs"][0]["results"]}
    assert states.pop("CVE-2021-33503") == "new"
    assert set(states.values()) == {"unchanged"}


def test_where_only_new_findings_count_old_ones_fail_nothing(bench: Bench) -> None:
    first = bench.run({"run": "run-0"}, only_new=True)
    assert first.outcome is Outcome.FAILURE, "there is nothing to compare with"
    assert first.findings is not None
    assert any("everything counts" in each for each in first.findings.remarks)
    report = bench.workspace.kept["security.sarif"]
    bench.workspace.earlier = report
    assert bench.run(BASE, only_new=True).outcome is Outcome.SUCCESS
    bench.workspace.earlier = without(report, "aws-access-key-id")
    assert bench.run(BASE, only_new=True).outcome is Outcome.FAILURE


def test_an_attempt_after_the_first_is_compared_with_what_was_there_before_its_run(bench: Bench) -> None:
    bench.run({"run": "run-0"})
    bench.workspace.earlier = without(bench.workspace.kept["security.sarif"], "CVE-2021-33503")
    first = bench.findings(BASE | {"run": "run-1"})
    bench.workspace.earlier = bench.workspace.kept[
        "security.sarif"
    ]  # the first attempt's took the base's place
    second = bench.findings(BASE | {"run": "run-1", "number": 2})
    assert first.new == second.new == {"high": 1}
    bench.workspace.earlier = bench.workspace.kept["security.sarif"]
    assert bench.findings(BASE | {"run": "run-2"}).new == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b'{"version": "2.1.0", "runs": [{"results": [{}]}]}', b"[" * 99_999],
)
def test_an_earlier_report_that_cannot_be_read_is_said_and_compared_with_nothing(
    bench: Bench, content: bytes
) -> None:
    bench.workspace.earlier = content
    result = bench.run(BASE)
    assert result.outcome is Outcome.FAILURE
    assert result.findings is not None
    assert result.findings.new is None
    assert any(
        each.startswith("not compared with main: the earlier report") for each in result.findings.remarks
    )


def test_a_report_in_the_repository_can_stand_for_the_base_branchs(bench: Bench) -> None:
    bench.run({"run": "run-0"})
    write(bench.workspace.path, {"known.sarif": bench.workspace.kept["security.sarif"].decode()})
    assert bench.run(baseline="known.sarif", only_new=True).outcome is Outcome.SUCCESS
    forked = bench.run({"trusted": False}, baseline="known.sarif", only_new=True)
    assert forked.outcome is Outcome.FAILURE, "a fork could write there what it likes"
    with pytest.raises(AgentError, match=r"with\.baseline: there is no file gone\.sarif"):
        bench.run(baseline="gone.sarif")


def test_the_repositorys_own_settings_of_a_scanner_are_not_read_and_that_is_said(bench: Bench) -> None:
    write(bench.workspace.path, {".trivyignore": "CVE-2021-33503\n", "trivy.yaml": "exit-code: 0\n"})
    bench.run()
    assert "trivy.yaml, .trivyignore: not read; accept findings with with.ignore" in bench.workspace.text


def test_every_scan_that_can_be_named_is_one_that_is_made() -> None:
    assert agent.EVERY == ("dependencies", "configuration", "secrets", "image")
