"""A pytest plugin: writes one JSON line a report. Runs in the tested project's Python, so old Pythons must take it.

Loaded with ``-p``. Node ids are made relative to the folder in which pytest was started, which is how they are given
to it again; pytest's own are relative to its root.
"""

import json
import os
from typing import Any

LONGEST = 20000


class Recorder:
    def __init__(self, config: Any, path: str) -> None:
        self.root = str(getattr(config, "rootpath", None) or config.rootdir)
        self.here = os.getcwd()
        self.file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed with the session)

    def node(self, nodeid: str) -> str:
        file, colons, rest = nodeid.partition("::")
        if self.root == self.here or not file:
            return nodeid
        return os.path.relpath(os.path.join(self.root, file), self.here).replace(os.sep, "/") + colons + rest

    def write(self, **fields: Any) -> None:
        self.file.write(json.dumps(fields) + "\n")
        self.file.flush()

    def record(self, report: Any, when: str) -> None:
        crash = getattr(report.longrepr, "reprcrash", None)
        if isinstance(report.longrepr, tuple):  # a skip: path, line, reason
            message = str(report.longrepr[2])
        else:
            message = str(crash.message) if crash is not None else ""
        self.write(
            id=self.node(report.nodeid),
            when=when,
            outcome=report.outcome,
            xfail=hasattr(report, "wasxfail"),
            duration=getattr(report, "duration", 0.0),
            message=message[:LONGEST],
            details=str(report.longrepr)[-LONGEST:] if report.longrepr is not None else "",
        )

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.record(report, report.when)

    def pytest_collectreport(self, report: Any) -> None:
        if not report.passed:
            self.record(report, "collect")

    def pytest_unconfigure(self) -> None:
        self.file.close()


def pytest_configure(config: Any) -> None:
    path = os.environ.get("TURNOUT_TEST_REPORT")
    if path and not hasattr(config, "workerinput"):  # pytest-xdist's workers report to the one that records
        config.pluginmanager.register(Recorder(config, path), "turnout-recorder")
