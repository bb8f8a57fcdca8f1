"""Writes dashboards/turnout.json: ``python -m local.grafana.dashboard``. A test holds its metrics to what there is.

Source: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = Path(__file__).parent / "dashboards" / "turnout.json"
SOURCE = {"type": "prometheus", "uid": "turnout-prometheus"}
COLUMNS = 24
OURS = 'project=~"$project"'


@dataclass(frozen=True)
class Panel:
    """``asks``: expression and legend. ``alarm``: from this value on it is red; None: it never is."""

    title: str
    asks: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 7
    alarm: float | None = None
    stacked: bool = False


def quantile(share: float, name: str, by: str = "", where: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({share}, sum by ({labels}) (rate({name}_bucket{{{where}}}[$__rate_interval])))"
    )


def sign(title: str, expression: str, alarm: float, unit: str = "short") -> Panel:
    return Panel(title, [(expression, "")], "stat", unit, width=4, height=4, alarm=alarm)


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Is anything wrong?",
        (
            sign("Unaccounted", "turnout_unaccounted", 1),
            sign("Dead letters", "turnout_dead_letters", 1),
            sign("Leases overdue", "turnout_leases_overdue", 1),
            sign("Bus away", "1 - turnout_bus_up", 1),
            sign("Oldest unpublished", "turnout_outbox_oldest_seconds", 120, "s"),
            sign("Since the last audit", "turnout_audit_age_seconds", 900, "s"),
        ),
    ),
    (
        "Runs",
        (
            Panel(
                "Runs an hour, by outcome",
                [(f"sum by (outcome) (rate(turnout_runs_total{{{OURS}}}[1h])) * 3600", "{{outcome}}")],
                stacked=True,
            ),
            Panel(
                "Success rate",
                [
                    (
                        f'sum(increase(turnout_runs_total{{{OURS}, outcome="success"}}[6h]))'
                        f' / sum(increase(turnout_runs_total{{{OURS}, outcome!~"cancelled|skipped"}}[6h]))',
                        "of those judged",
                    )
                ],
                unit="percentunit",
            ),
            Panel(
                "Duration of a run",
                [
                    (quantile(0.5, "turnout_run_duration_seconds", where=OURS), "p50"),
                    (quantile(0.95, "turnout_run_duration_seconds", where=OURS), "p95"),
                ],
                unit="s",
            ),
            Panel("Open runs", [("turnout_runs_open", "{{status}}")], stacked=True),
            Panel(
                "Duration of a stage, p95",
                [(quantile(0.95, "turnout_stage_duration_seconds", "agent"), "{{agent}}")],
                unit="s",
            ),
            Panel(
                "Retries and lost attempts an hour",
                [
                    ("sum by (budget) (rate(turnout_retries_total[1h])) * 3600", "{{budget}}"),
                    ("rate(turnout_attempts_lost_total[1h]) * 3600", "lost"),
                ],
            ),
        ),
    ),
    (
        "Agents and bus",
        (
            Panel(
                "Waiting for an agent",
                [
                    (quantile(0.5, "turnout_attempt_queue_seconds"), "p50"),
                    (quantile(0.95, "turnout_attempt_queue_seconds"), "p95"),
                ],
                unit="s",
            ),
            Panel(
                "Start-up of an attempt",
                [
                    (quantile(0.5, "turnout_attempt_startup_seconds"), "p50"),
                    (quantile(0.95, "turnout_attempt_startup_seconds"), "p95"),
                ],
                unit="s",
            ),
            Panel("Open attempts", [("turnout_attempts_open", "{{agent}}")], stacked=True),
            Panel(
                "Lag",
                [
                    ("sum by (group, topic) (turnout_bus_lag_records)", "{{group}} {{topic}}"),
                    ("turnout_outbox_unpublished", "not published yet"),
                ],
            ),
            Panel("Oldest open attempt", [("turnout_attempt_oldest_seconds", "{{agent}}")], unit="s"),
            Panel(
                "Attempts an hour, by outcome",
                [("sum by (outcome) (rate(turnout_attempts_total[1h])) * 3600", "{{outcome}}")],
                stacked=True,
            ),
        ),
    ),
    (
        "Deploys",
        (
            Panel(
                "Deploys a day",
                [
                    (
                        f"sum by (environment, result) (increase(turnout_deploys_total{{{OURS}}}[1d]))",
                        "{{environment}} {{result}}",
                    )
                ],
                stacked=True,
            ),
            Panel(
                "Change failure rate, 7 days",
                [
                    (
                        f'sum by (environment) (increase(turnout_deploys_total{{{OURS}, result="failed"}}[7d]))'
                        f" / sum by (environment) (increase(turnout_deploys_total{{{OURS}}}[7d]))",
                        "{{environment}}",
                    )
                ],
                unit="percentunit",
            ),
            Panel(
                "Environments held and waited for",
                [
                    (
                        f"turnout_environment_held_seconds{{{OURS}}} / 60",
                        "{{project}} {{environment}}: held, minutes",
                    ),
                    (f"turnout_environment_waiting{{{OURS}}}", "{{project}} {{environment}}: runs that wait"),
                ],
            ),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    return {
        "uid": "turnout",
        "title": "Turnout",
        "tags": ["turnout"],
        "timezone": "browser",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "project",
                    "label": "Project",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {"query": "label_values(turnout_runs_total, project)", "refId": "project"},
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                }
            ]
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for title, panels in ROWS:
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        number, top, left = number + 1, top + 1, 0
        for each in panels:
            if left + each.width > COLUMNS:
                left, top = 0, top + each.height
            yield _panel(each, number, left, top)
            number, left = number + 1, left + each.width
        top += panels[-1].height


def _panel(panel: Panel, number: int, left: int, top: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.alarm is not None:
        steps.append({"color": "red", "value": panel.alarm})
    stacking = {"mode": "normal" if panel.stacked else "none"}
    drawn = {"custom": {"fillOpacity": 20, "stacking": stacking}} if panel.kind == "timeseries" else {}
    thresholds = {"mode": "absolute", "steps": steps}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": panel.height},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": thresholds, **drawn},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for at, (expression, legend) in enumerate(panel.asks)
        ],
    }


def main() -> None:
    WRITES.parent.mkdir(exist_ok=True)
    WRITES.write_text(json.dumps(dashboard(), indent=2) + "\n")


if __name__ == "__main__":
    main()
