"""Serves an unpacked package in this interpreter as functions-framework does, and answers one request.

``python -S -P packaged.py SITE`` in the package's folder; on standard input JSON: ``function``, ``request``, ``owners``
(module to distribution), ``parts`` (of the wiring, to be made). Prints JSON. Only the package's own files can be
imported, and the distributions that its ``requirements.txt`` names.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    asked = json.load(sys.stdin)
    site = sys.argv[1]
    sys.path[:] = [each for each in sys.path if each and "site-packages" not in each] + [site]
    allowed = {
        line.partition("==")[0] for line in Path("requirements.txt").read_text().splitlines() if "==" in line
    }
    sys.meta_path.insert(0, _Fence(site, asked["owners"], {each.partition("[")[0] for each in allowed}))

    from functions_framework import create_app

    function, request = asked["function"], asked["request"]
    if function == "console":
        from functions_framework.aio import create_asgi_app

        status, body = asyncio.run(_asgi(create_asgi_app(function, "main.py"), request))
    else:
        from werkzeug.test import Client

        answer = Client(create_app(function, "main.py")).open(
            request["path"], method=request["method"], headers=request["headers"], data=request["body"]
        )
        status, body = answer.status_code, answer.text
    loaded = len(sys.modules)
    from_here = [each for each in sys.modules if each.partition(".")[0] in ("turnout", "functions", "agents")]
    outside = [
        each for each in from_here if not str(sys.modules[each].__file__).startswith(f"{os.getcwd()}/")
    ]
    made = _make(asked["parts"])
    for path in sorted(Path().rglob("*.py")):
        ours = path.parts[0] in ("turnout", "functions", "agents")
        if ours and "migrations" not in path.parts:  # which are run, not imported
            importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    print(json.dumps({"status": status, "body": body, "loaded": loaded, "outside": outside, "made": made}))


def _make(parts: list[str]) -> list[str]:
    """The parts that the function may be asked for by other settings, too."""
    from turnout.wiring import wiring

    made = []
    for name in parts:
        if hasattr(type(wiring()), name) and not callable(getattr(type(wiring()), name)):
            getattr(wiring(), name)
            made.append(name)
    return made


class _Fence(importlib.abc.MetaPathFinder):
    """Nothing of a distribution that is not named in the package."""

    def __init__(self, site: str, owners: dict[str, str], allowed: set[str]) -> None:
        self._site = site
        self._owners = owners
        self._allowed = allowed

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or not str(spec.origin or "").startswith(self._site):
            return None
        module = name
        while module and module not in self._owners:
            module = module.rpartition(".")[0]
        if self._owners.get(module, "") not in self._allowed:
            raise ModuleNotFoundError(f"No module named {name!r} in this package", name=name)
        return None


async def _asgi(app: Any, request: dict[str, Any]) -> tuple[int, str]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request["body"].encode(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    path, _, query = request["path"].partition("?")
    headers = [(name.lower().encode(), value.encode()) for name, value in request["headers"].items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request["method"],
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    body = b"".join(each.get("body", b"") for each in sent if each["type"] == "http.response.body")
    return int(sent[0]["status"]), body.decode()


if __name__ == "__main__":
    main()
