"""The environment of package installers: where the registries are and whom to trust, and nothing else of the agent's.

Only installers get it. The tools that run a repository's code afterwards do not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from turnout.core.messages import TaskRequested

PASSED = frozenset({
    "ALL_PROXY", "CURL_CA_BUNDLE", "HTTPS_PROXY", "HTTP_PROXY", "NODE_EXTRA_CA_CERTS", "NO_PROXY",
    "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE",
    "PIP_CERT", "PIP_CONFIG_FILE", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL",
    "PIP_NO_INDEX", "PIP_PREFER_BINARY", "PIP_PROXY", "PIP_RETRIES", "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_HTTP_TIMEOUT", "UV_INDEX", "UV_INDEX_URL",
    "UV_INSECURE_HOST", "UV_OFFLINE",
    "NPM_CONFIG_CAFILE", "NPM_CONFIG_GLOBALCONFIG", "NPM_CONFIG_HTTPS_PROXY", "NPM_CONFIG_NOPROXY",
    "NPM_CONFIG_PROXY", "NPM_CONFIG_REGISTRY", "NPM_CONFIG_STRICT_SSL", "NPM_CONFIG_USERCONFIG",
    "YARN_NPM_REGISTRY_SERVER", "YARN_REGISTRY",
})  # fmt: skip
"""Names an installer may see, in either case. An index with a password in its address is the operator's choice:
the code of a dependency that runs while it is installed could read it."""

_UV_FROM_PIP = {
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "UV_FIND_LINKS": "PIP_FIND_LINKS",
    "SSL_CERT_FILE": "PIP_CERT",
}


_FILES = frozenset({"NPM_CONFIG_GLOBALCONFIG", "NPM_CONFIG_USERCONFIG", "PIP_CONFIG_FILE"})
_LOGIN = re.compile(r"://[^/\s]*@")


def fetches(task: TaskRequested) -> bool | None:
    """Whether installers have the network, as `Workspace.run` takes it. A repository's code runs while it is installed,
    so a fork's installers have it where the project lets its code have it."""
    return True if task.trusted or task.checkout.options.elsewhere else None


def offline(task: TaskRequested) -> str:
    """What to do where an installer failed that had no network; empty: it had."""
    return (
        ""
        if fetches(task)
        else "a fork installs without the network, unless the project says `forks: {network: true}`"
    )


def installer_environment(
    downloads: Path, given: Mapping[str, str] = os.environ, *, trusted: bool = True
) -> dict[str, str]:
    """``downloads``: a folder that keeps what was fetched, inside the workspace's cache. ``trusted``: the code that is
    installed is no fork's, to which what logs in to an index is not shown."""
    passed = {
        name: value
        for name, value in given.items()
        if name.upper() in PASSED and (trusted or not (name.upper() in _FILES or _LOGIN.search(value)))
    }
    for uv, pip in _UV_FROM_PIP.items():  # uv does not read pip's settings
        if pip in passed and not (pip == "PIP_FIND_LINKS" and "://" not in passed[pip]):
            passed.setdefault(uv, passed[pip])  # a folder that tools do not see is an error to uv, not to pip
    return passed | {
        "PIP_CACHE_DIR": str(downloads / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_CACHE_DIR": str(downloads / "uv"),
        "UV_NO_PROGRESS": "1",
        "UV_LINK_MODE": "hardlink",
        "UV_SYSTEM_CERTS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "NPM_CONFIG_CACHE": str(downloads / "npm"),
        "NPM_CONFIG_AUDIT": "false",
        "NPM_CONFIG_FUND": "false",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "NPM_CONFIG_PROGRESS": "false",
        "YARN_CACHE_FOLDER": str(downloads / "yarn"),
        "HUSKY": "0",
        "PUPPETEER_SKIP_DOWNLOAD": "1",
        "CI": "true",
    }
