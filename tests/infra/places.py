"""A copy of the Terraform files with what they need beside them, and a Terraform that reaches no network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.stack.layout import CONSOLE, FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "infra" / "terraform"
ROOTS = tuple(sorted(str(each.parent.relative_to(FILES)) for each in FILES.glob("*/*/versions.tf")))
TYPE = re.compile(r'^(?:resource|data) "(google_\w+)"', re.M)


def program() -> Path:
    where = subprocess.run(
        [ROOT / "local/setup/terraform.sh", "--where"], capture_output=True, text=True, check=True
    )
    return Path(where.stdout.strip()) / "bin" / "terraform"


@dataclass(frozen=True)
class Place:
    """``terraform``: the program. ``files``: the copy of infra/terraform."""

    terraform: Path
    files: Path

    @classmethod
    def under(cls, folder: Path) -> Place:
        files = folder / "infra" / "terraform"
        shutil.copytree(FILES, files, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        packages = folder / "build" / "functions"
        packages.mkdir(parents=True)
        for function in (*FUNCTIONS, CONSOLE):
            (packages / f"{function}.zip").write_bytes(b"the source of " + function.encode())
        return cls(program(), files)

    def run(self, root: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # only the types that are named: Terraform reads the provider's whole schema with each command
        named = {name for file in self.files.rglob("*.tf") for name in TYPE.findall(file.read_text())}
        return subprocess.run(
            [self.terraform, f"-chdir={self.files / root}", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | {"TURNOUT_GOOGLE_TYPES": ",".join(sorted(named)), "TF_IN_AUTOMATION": "1"},
        )

    def done(self, root: str, *arguments: str) -> str:
        ended = self.run(root, *arguments)
        assert ended.returncode == 0, f"{arguments} in {root}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def plan(self, root: str) -> dict[str, Any]:
        """As JSON. The folder has been initialised."""
        self.done(root, "plan", "-no-color", "-var-file=tests/example.tfvars", "-out=plan")
        found: dict[str, Any] = json.loads(self.done(root, "show", "-json", "plan"))
        return found
