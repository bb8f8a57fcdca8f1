"""Repositories with one commit, whose pipeline file has stages that run the stamp's command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.demo.push import git
from tests.bench.timeline import STAGES, STAMP

MOST_STAGES = 100
"""As many as a pipeline file may have; more tasks are cells of a matrix."""
IN_ORDER = tuple(f"s{number}" for number in range(1, STAGES + 1))


def pipeline(names: Sequence[str], *, side_by_side: bool = False, cells: int = 1) -> str:
    """A pipeline file with a stage a name, each with so many ``cells`` of a matrix."""
    matrix = {"matrix": {"cell": [str(number) for number in range(cells)]}} if cells > 1 else {}
    stages = [
        {"name": name, "agent": "script", "with": {"run": STAMP, "shell": "sh"}, **matrix} for name in names
    ]
    return json.dumps({"pipeline": {"stages": [stages] if side_by_side else stages}})


@dataclass
class Repository:
    """``name``: ``owner/name``. One commit, with a pipeline file whose stages are ``stages``."""

    folder: Path
    name: str
    stages: Sequence[str] = IN_ORDER
    side_by_side: bool = False
    cells: int = 1
    payload: bytes = field(default=b"", init=False)

    @property
    def tasks(self) -> list[str]:
        if self.cells == 1:
            return list(self.stages)
        return [f"{stage}[cell={number}]" for stage in self.stages for number in range(self.cells)]

    def make(self, projects: Path) -> None:
        work = self.folder / self.name.replace("/", "-")
        work.mkdir(parents=True)
        git(work, "init", "--quiet", "--initial-branch=main")
        (work / "pipeline.yml").write_text(
            pipeline(self.stages, side_by_side=self.side_by_side, cells=self.cells)
        )
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "-m", "Sell tea")
        sha = git(work, "rev-parse", "HEAD")
        projects.mkdir(parents=True, exist_ok=True)
        (projects / f"{work.name}.yml").write_text(
            f"project:\n  repository: {self.name}\n  clone_url: {work}\n"
        )
        url = f"https://github.com/{self.name}"
        self.payload = json.dumps(
            {
                "ref": "refs/heads/main",
                "before": "0" * 40,
                "after": sha,
                "head_commit": {"id": sha, "message": "Sell tea"},
                "repository": {"full_name": self.name, "clone_url": f"{url}.git", "default_branch": "main"},
                "sender": {"login": "ada"},
            }
        ).encode()


def wide(folder: Path, width: int) -> Repository:
    """``width``: a multiple of the number of cells that it takes."""
    cells = -(-width // MOST_STAGES)
    names = [f"w{number}" for number in range(width // cells)]
    return Repository(folder, f"acme/wide{width}", names, side_by_side=True, cells=cells)
