"""A kubectl and a helm that say what a test wants them to say, and write down how they were called."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.agents.workspace import PlainWorkspace

_TOOL = """#!{python} -IS
import json, os, sys
called = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
with open({calls!r}, "a") as file:
    config = os.environ.get("KUBECONFIG")
    text = open(config).read() if config else ""
    mode = oct(os.stat(config).st_mode & 0o777) if config else ""
    file.write(json.dumps({{"argv": called, "config": text, "mode": mode, "env": dict(os.environ)}}) + "\\n")
for when, code, out, err in json.load(open({answers!r})):
    if all(word in called for word in when.split()):
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""

CONFIG = json.dumps({
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://cluster.example.org"}}],
    "users": [{"name": "u", "user": {"token": "a-very-secret-token"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
})  # fmt: skip


class Tools:
    """``say``: what a call that has all these words is answered; the latest such word counts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self._calls, self._answers = folder / "calls", folder / "answers.json"
        self._calls.touch()
        self._said: list[tuple[str, int, str, str]] = []
        text = _TOOL.format(python=sys.executable, calls=str(self._calls), answers=str(self._answers))
        for name in ("kubectl", "helm"):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
            monkeypatch.setenv(f"TURNOUT_{name.upper()}", str(folder / name))
        self.say("helm version", out="v4.1.0")
        self.say("kubectl version", out=json.dumps({"clientVersion": {"gitVersion": "v1.35.0"}}))
        self.say("kubectl kustomize", out="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n")
        self.say("helm template", out="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\n")
        self.say("helm history", code=1, err="Error: release: not found\n")

    def say(self, when: str, code: int = 0, out: str = "", err: str = "") -> None:
        self._said.insert(0, (when, code, out, err))
        self._answers.write_text(json.dumps(self._said))

    @property
    def calls(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._calls.read_text().splitlines()]

    @property
    def lines(self) -> list[str]:
        return [" ".join(map(str, call["argv"])) for call in self.calls if isinstance(call["argv"], list)]

    def called(self, words: str) -> bool:
        return any(all(word in line.split() for word in words.split()) for line in self.lines)


def workspace(folder: Path) -> PlainWorkspace:
    made = PlainWorkspace(folder / "attempt")
    made.given = {"KUBECONFIG": CONFIG, "OTHER": "another-secret"}
    assert shutil.which("sh")
    return made
