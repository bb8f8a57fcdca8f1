"""A real Prometheus on loopback that scrapes one Turnout, with our alert rules."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from local.server_process import LocalServer, ServerProcess
from turnout.core.errors import PermanentError

HERE = Path(__file__).parent
INSTALLS = "make real-parts installs prometheus"


class Prometheus(LocalServer):
    """``scraped``: the console's URL; ``token``: of the scope ``metrics``. Everything happens each second, and alerts
    fire without their ``for``: what they wait for in production is played by ``alerts_test.yml``."""

    what = "Prometheus"

    def __init__(self, scraped: str, token: str) -> None:
        super().__init__()
        self._scraped = scraped
        self._token = token

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API. Source: https://prometheus.io/docs/prometheus/latest/querying/api/"""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=query, timeout=10)
        return answer.raise_for_status().json()["data"]

    def _prepare(self) -> ServerProcess:
        program = shutil.which("prometheus")
        if program is None:
            raise PermanentError("there is no prometheus on PATH", INSTALLS)
        settings = yaml.safe_load((HERE / "prometheus.yml").read_text())
        settings["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        del settings["alerting"]
        settings["scrape_configs"][0]["static_configs"] = [{"targets": [urlsplit(self._scraped).netloc]}]
        rules = yaml.safe_load((HERE / "alerts.yml").read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        (self.folder / "turnout.token").write_text(self._token)
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        (self.folder / "alerts.yml").write_text(yaml.safe_dump(rules))
        argv = [
            program,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        return ServerProcess(
            self.what, argv, self.log, "Server is ready to receive web requests", cwd=self.folder
        )
