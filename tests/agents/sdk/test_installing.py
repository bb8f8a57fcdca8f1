from __future__ import annotations

from pathlib import Path

import pytest

from agents.sdk.installing import fetches, installer_environment
from agents.sdk.interpreter import Interpreter
from agents.sdk.node_env import _Installer
from agents.sdk.python_installer import Installer
from agents.sdk.workspace import AgentError
from tests.agents.workspace import PlainWorkspace, task
from turnout.core.messages import TaskRequested
from turnout.core.plan import CheckoutOptions


def test_installers_see_the_registry_settings_and_no_secret_beside_them() -> None:
    given = {
        "PIP_INDEX_URL": "index",
        "npm_config_registry": "registry",
        "SSL_CERT_FILE": "certificates",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "TURNOUT_DATABASE_URL": "secret",
        "NPM_TOKEN": "secret",
        "PATH": "elsewhere",
    }
    found = installer_environment(Path("/cache/downloads"), given)
    assert found["PIP_INDEX_URL"] == "index"
    assert found["npm_config_registry"] == "registry"
    assert found["SSL_CERT_FILE"] == "certificates"
    assert "secret" not in found.values()
    assert "PATH" not in found


def test_uv_gets_pips_settings_since_it_does_not_read_them() -> None:
    found = installer_environment(Path("/c"), {"PIP_INDEX_URL": "index", "PIP_CERT": "certificate"})
    assert found["UV_DEFAULT_INDEX"] == "index"
    assert found["SSL_CERT_FILE"] == "certificate"


def test_a_folder_of_wheels_that_tools_may_not_see_is_left_to_pip_which_passes_over_it() -> None:
    assert "UV_FIND_LINKS" not in installer_environment(Path("/c"), {"PIP_FIND_LINKS": "/wheels"})
    assert (
        installer_environment(Path("/c"), {"PIP_FIND_LINKS": "x://wheels"})["UV_FIND_LINKS"] == "x://wheels"
    )


def test_what_was_fetched_is_kept_in_the_cache() -> None:
    found = installer_environment(Path("/cache/downloads"), {})
    assert found["PIP_CACHE_DIR"] == "/cache/downloads/pip"
    assert found["NPM_CONFIG_CACHE"] == "/cache/downloads/npm"


def of_a_fork(*, allowed: bool) -> TaskRequested:
    asked = task("test", trusted=False)
    return asked.with_(checkout=asked.checkout.with_(options=CheckoutOptions(elsewhere=allowed)))


def test_a_forks_installers_have_the_network_where_the_project_lets_its_code_have_it() -> None:
    assert fetches(task("test"))
    assert fetches(of_a_fork(allowed=True))
    assert not fetches(of_a_fork(allowed=False))


@pytest.mark.parametrize("allowed", [False, True])
def test_each_call_of_an_installer_asks_for_that_and_says_what_to_do(tmp_path: Path, allowed: bool) -> None:
    workspace = PlainWorkspace(tmp_path)
    workspace.task = of_a_fork(allowed=allowed)
    nothing = Interpreter("/bin/false", "1")
    with pytest.raises(AgentError):
        Installer(workspace, nothing, tmp_path / "venv")
    installer = _Installer(workspace, Interpreter("/bin/sh", "1"), {})
    with pytest.raises(AgentError) as caught:
        installer._call(["/bin/false"], tmp_path)
    assert set(workspace.networked) == ({True} if allowed else {None})
    assert ("forks: {network: true}" in caught.value.hint) is not allowed


def test_a_fork_is_not_shown_what_logs_in_to_an_index() -> None:
    given = {
        "PIP_INDEX_URL": "https://reader:s3cret@index.example.org/simple",
        "UV_INDEX": "https://s3cret@index.example.org",
        "PIP_CONFIG_FILE": "/etc/s3cret.conf",
        "npm_config_userconfig": "/etc/s3cret.npmrc",
        "PIP_EXTRA_INDEX_URL": "https://index.example.org/simple",
    }
    assert "s3cret" in str(installer_environment(Path("/c"), given))
    found = installer_environment(Path("/c"), given, trusted=False)
    assert "s3cret" not in str(found)
    assert found["PIP_EXTRA_INDEX_URL"] == "https://index.example.org/simple"
