"""Makes the recorded outputs that the fast tests read, with the real tools: ``python -m tests.agents.security.record``.

What differs from run to run, or is not read, is left out.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.trivy.database import write
from tests.agents.security.conftest import ADVISORIES, ROOT
from tests.agents.security.planted import EVERYTHING, JAVASCRIPT
from tests.agents.security.snyk_stand_in import LODASH, TOKEN, SnykApi, serving
from tests.agents.workspace import write as write_files

FOLDER = Path(__file__).parent / "recorded"
_LEFT_OUT = {
    "Code",
    "ReportID",
    "CreatedAt",
    "Query",
    "Namespace",
    "Description",
    "Resolution",
    "path",
    "Match",
}


def main() -> None:
    where = subprocess.run(
        [ROOT / "local/setup/scanners.sh", "--where"], check=True, capture_output=True, text=True
    )
    scanners = Path(where.stdout.strip())
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="turnout-record-") as name:
        place = Path(name)
        write_files(place / "all", EVERYTHING)
        write_files(place / "web", JAVASCRIPT)
        (place / "empty").mkdir()
        write(place / "database", datetime.now(UTC), ADVISORIES)
        argv = [
            "trivy",
            "fs",
            "--scanners",
            "vuln,misconfig,secret",
            "--format",
            "json",
            "--cache-dir",
            "../database",
        ]
        argv += ["--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--skip-version-check"]
        argv += ["--offline-scan", "--disable-telemetry", "--quiet", "."]
        _record("trivy.json", [str(scanners / argv[0]), *argv[1:]], place / "all", {})
        snyk = ["node", str(scanners / "snyk/dist/cli/index.js"), "test", "--json"]
        for file, folder, api in (
            ("snyk-found.json", "web", SnykApi([LODASH])),
            ("snyk-clean.json", "web", SnykApi()),
            ("snyk-nothing.json", "empty", SnykApi()),
            ("snyk-refused.json", "web", SnykApi(behaviour="refuse")),
        ):
            with serving(api):
                _record(
                    file,
                    snyk,
                    place / folder,
                    {"SNYK_TOKEN": TOKEN, "SNYK_DISABLE_ANALYTICS": "1", **api.env},
                )


def _record(file: str, argv: list[str], cwd: Path, env: dict[str, str]) -> None:
    ran = subprocess.run(
        argv,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd.parent), **env},
        stdout=subprocess.PIPE,
        timeout=300,
        check=False,
    )
    text = json.dumps(_kept(json.loads(ran.stdout), str(cwd)), indent=1)
    (FOLDER / file).write_text(text + "\n")
    print(f"{file}: exit code {ran.returncode}")


def _kept(value: Any, place: str) -> Any:
    match value:
        case dict():
            return {name: _kept(each, place) for name, each in value.items() if name not in _LEFT_OUT}
        case list():
            return [_kept(each, place) for each in value]
        case str():
            return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", value.replace(place, "/checkout"))
        case _:
            return value


if __name__ == "__main__":
    main()
