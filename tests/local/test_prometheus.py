"""What watches Turnout asks only for what Turnout tells, and a real Prometheus sounds the alarm."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.grafana import dashboard
from local.prometheus.server import HERE, INSTALLS, Prometheus
from tests.e2e.system import System
from tests.real import require
from tests.test_metering import busy_house, names
from tests.waiting import wait_until
from turnout.core.access import Scope
from turnout.core.envelope import Record
from turnout.core.topics import PIPELINE_EVENTS
from turnout.identifying import LOCAL

METRIC = re.compile(r"\bturnout_\w+")


def expressions() -> Iterator[str]:
    for group in yaml.safe_load((HERE / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in dashboard.dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_alerts_and_dashboard_name_only_metrics_that_there_are() -> None:
    told = names(busy_house().metering.exposition())
    asked = {name for each in expressions() for name in METRIC.findall(each)}
    assert len(asked) > 20
    assert asked <= told


def test_every_metric_is_looked_at_by_somebody() -> None:
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names(busy_house().metering.exposition())}
    asked = {re.sub(r"_bucket$", "", name) for each in expressions() for name in METRIC.findall(each)}
    assert told - asked == {"turnout_build_info"}


def test_the_dashboard_is_what_the_code_says() -> None:
    assert json.loads(dashboard.WRITES.read_text()) == dashboard.dashboard(), "run `make docs`"


def test_no_two_panels_lie_over_each_other() -> None:
    panels: list[dict[str, Any]] = dashboard.dashboard()["panels"]
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < dashboard.COLUMNS
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_grafana_is_given_the_source_that_the_dashboard_names() -> None:
    given = yaml.safe_load((HERE.parent / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert [each["uid"] for each in given["datasources"]] == [dashboard.SOURCE["uid"]]


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    require("promtool", found is not None, INSTALLS)
    assert found is not None
    return found


def accepted(*command: str, cwd: Path) -> str:
    said = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


@pytest.mark.real
def test_promtool_takes_settings_and_rules_and_every_alert_fires_when_it_should(
    promtool: str, tmp_path: Path
) -> None:
    here = tmp_path / "prometheus"
    shutil.copytree(HERE, here)
    (here / "turnout.token").write_text("-")
    accepted(promtool, "check", "config", "prometheus.yml", cwd=here)
    assert "13 rules found" in accepted(
        promtool, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yml", cwd=here
    )
    accepted(promtool, "test", "rules", "alerts_test.yml", cwd=here)
    played = (here / "alerts_test.yml").read_text()
    for group in yaml.safe_load((here / "alerts.yml").read_text())["groups"]:
        assert [rule["alert"] for rule in group["rules"] if rule["alert"] not in played] == []


@pytest.mark.real
def test_a_real_prometheus_reads_a_running_turnout_and_an_alert_fires(tmp_path: Path) -> None:
    require("Prometheus", shutil.which("prometheus") is not None, INSTALLS)
    with System(tmp_path) as system:
        system.make_repository()
        running = system.start()
        identity = system.wiring.identity
        token, _ = identity.make_token(LOCAL + identity.owner, "scrapes", frozenset({Scope.METRICS}))
        with Prometheus(running.urls["console"], token) as prometheus:

            def value(expression: str) -> float | None:
                found = prometheus.ask("query", query=expression)["result"]
                return float(found[0]["value"][1]) if found else None

            def firing() -> set[str]:
                alerts = prometheus.ask("alerts")["alerts"]
                return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

            wait_until(lambda: value('up{job="turnout"}') == 1, 30, "it is scraped")
            system.wait_for([system.deliver()])
            succeeded = 'turnout_runs_total{project="acme/shop",outcome="success"}'
            wait_until(lambda: value(succeeded) == 1, 30, "the run is counted")
            assert value("sum(turnout_stage_duration_seconds_count)") == 3
            assert value("turnout_bus_up") == 1
            assert value("turnout_unaccounted") == 0
            assert len(prometheus.ask("rules")["groups"][0]["rules"]) == 13
            wait_until(
                lambda: "TurnoutDown" not in firing(), 10, "what was true before the first scrape is over"
            )
            assert firing() == set()

            system.wiring.producer.publish([Record(PIPELINE_EVENTS, "acme/shop", b"no envelope")])
            wait_until(lambda: "TurnoutDeadLetters" in firing(), 30, "the alert")
            system.stop()
            wait_until(lambda: "TurnoutDown" in firing(), 30, "the other alert")
