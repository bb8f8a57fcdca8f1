from __future__ import annotations

from pathlib import Path

from agents.sdk.installing import installer_environment


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
