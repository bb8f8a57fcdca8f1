from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.core.writing import SMALLEST
from turnout.adapters.config_files import BoundSecrets, ProjectFolder, read_pipeline, read_project
from turnout.adapters.git_command import Credential
from turnout.core.config import ProjectConfig
from turnout.core.errors import InvalidConfig, PermanentError


def project(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"project: {{{text}}}\n")
    return path


def find(folder: Path, repository: str = "acme/shop") -> str:
    found = ProjectFolder(folder).find(repository)
    return found.repository if found else ""


def problems(folder: Path, repository: str = "acme/shop") -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        ProjectFolder(folder).find(repository)
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_pipeline_file_is_read() -> None:
    assert len(read_pipeline(SMALLEST, "pipeline.yml").stages) == 5


def test_a_problem_is_placed_in_the_file_that_was_named() -> None:
    with pytest.raises(InvalidConfig) as caught:
        read_project("project:\n  repository: acme/shop\n  brnches: {}\n", "shop.yml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("shop.yml", 3, 3)
    assert "branches" in problem.hint


def test_the_project_that_serves_a_repository_is_found_among_others(tmp_path: Path) -> None:
    project(tmp_path, "shop.yml", "repository: acme/shop")
    project(tmp_path, "tea.yaml", "repository: acme/tea")
    (tmp_path / "notes.txt").write_text("acme/notes")
    assert [find(tmp_path, name) for name in ("acme/shop", "acme/tea", "acme/notes")] == [
        "acme/shop",
        "acme/tea",
        "",
    ]


def test_letter_case_does_not_matter(tmp_path: Path) -> None:
    project(tmp_path, "shop.yml", "repository: Acme/Shop")
    assert find(tmp_path, "aCME/sHOP") == "Acme/Shop"


def test_a_folder_that_is_not_there_serves_nothing(tmp_path: Path) -> None:
    assert find(tmp_path / "nowhere") == ""


def test_a_folder_that_is_a_file_is_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "projects").write_text("")
    with pytest.raises(
        PermanentError, match=r"projects can't be read: Not a directory \(set TURNOUT_PROJECTS"
    ):
        find(tmp_path / "projects")


def test_a_changed_file_is_read_again_and_a_removed_one_forgotten(tmp_path: Path) -> None:
    path = project(tmp_path, "shop.yml", "repository: acme/shop")
    folder = ProjectFolder(tmp_path)
    first = folder.find("acme/shop")
    assert folder.find("acme/shop") is first
    project(tmp_path, "shop.yml", "repository: acme/shop, pipeline_file: ci.yml")
    second = folder.find("acme/shop")
    assert second is not None
    assert second.pipeline_files == ("ci.yml",)
    path.unlink()
    assert folder.find("acme/shop") is None


def test_a_change_that_leaves_the_size_is_seen_too(tmp_path: Path) -> None:
    path = project(tmp_path, "shop.yml", "repository: acme/shop")
    folder = ProjectFolder(tmp_path)
    assert folder.find("acme/shop") is not None
    project(tmp_path, "shop.yml", "repository: acme/tea0")
    os.utime(path, ns=(1, 1))
    assert folder.find("acme/shop") is None
    assert folder.find("acme/tea0") is not None


def test_two_files_for_one_repository_are_a_problem_that_names_both(tmp_path: Path) -> None:
    project(tmp_path, "a.yml", "repository: acme/shop")
    project(tmp_path, "b.yml", "repository: ACME/shop")
    (said,) = problems(tmp_path)
    assert said.startswith(f"{tmp_path}/a.yml: project.repository: also served by b.yml")


def test_a_broken_file_that_names_the_repository_is_told(tmp_path: Path) -> None:
    project(tmp_path, "shop.yml", "repository: acme/shop, runtime: moon")
    assert any("shop.yml:1:" in said and "runtime" in said for said in problems(tmp_path))


def test_a_broken_file_of_another_repository_is_no_harm(tmp_path: Path) -> None:
    project(tmp_path, "tea.yml", "repository: acme/tea, runtime: moon")
    project(tmp_path, "shop.yml", "repository: acme/shop")
    assert find(tmp_path) == "acme/shop"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe acme/shop", b"project: [acme/shop", b"- acme/shop", b"acme/shop: &a *a"]
)
def test_a_file_that_is_no_project_at_all_is_a_problem_and_no_crash(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "shop.yml").write_bytes(content)
    assert problems(tmp_path)


def test_what_is_no_file_or_gone_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone.yml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.yml").mkdir()
    project(tmp_path, "shop.yml", "repository: acme/shop")
    assert find(tmp_path) == "acme/shop"


class Sealed(ProjectFolder):
    """One of its files may not be read (root, who may read everything, could not be shown otherwise)."""

    def _project(self, path: Path) -> ProjectConfig:
        if path.name == "sealed.yml":
            raise PermissionError(13, "Permission denied", str(path))
        return super()._project(path)


def test_a_file_that_can_t_be_read_is_told_unless_another_one_serves_the_repository(tmp_path: Path) -> None:
    project(tmp_path, "sealed.yml", "repository: acme/tea")
    project(tmp_path, "shop.yml", "repository: acme/shop")
    assert Sealed(tmp_path).find("acme/shop") is not None
    with pytest.raises(InvalidConfig, match=r"sealed\.yml: can't be read: Permission denied"):
        Sealed(tmp_path).find("acme/tea")


# --- secrets --------------------------------------------------------------------------------------------


def bound(folder: Path, environ: dict[str, str], keys: str) -> BoundSecrets:
    project(folder, "shop.yml", f"repository: acme/shop, {keys}")
    return BoundSecrets(ProjectFolder(folder), environ)


def test_a_secret_is_read_from_the_variable_or_the_file_that_it_is_bound_to(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    secrets = bound(
        tmp_path,
        {"SHOP_TOKEN": "from a variable"},
        f"secrets: {{TOKEN: {{env: SHOP_TOKEN}}, KEY: {{file: {tmp_path}/key}}}}",
    )
    assert secrets.resolve("acme/shop", "", ["TOKEN", "KEY"]) == {
        "TOKEN": "from a variable",
        "KEY": "from a file",
    }


def test_nothing_is_read_that_was_not_asked_for(tmp_path: Path) -> None:
    secrets = bound(tmp_path, {}, "secrets: {TOKEN: {env: NOT_SET}}")
    assert secrets.resolve("acme/shop", "", []) == {}


def test_every_secret_that_is_not_bound_is_named(tmp_path: Path) -> None:
    secrets = bound(tmp_path, {"A": "1"}, "secrets: {A: {env: A}}")
    with pytest.raises(PermanentError, match="no value is bound for B, C") as caught:
        secrets.resolve("acme/shop", "", ["A", "B", "C"])
    assert caught.value.hint == "bind it under `secrets` in the project file of acme/shop"


def test_a_repository_without_a_project_has_no_secrets(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="no value is bound for TOKEN"):
        BoundSecrets(ProjectFolder(tmp_path), {}).resolve("acme/shop", "", ["TOKEN"])


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        ("{env: NOT_SET}", "TOKEN: the variable NOT_SET is not set"),
        ("{file: /no/such/file}", "TOKEN: /no/such/file can't be read"),
    ],
)
def test_a_binding_that_leads_nowhere_says_what_is_missing(tmp_path: Path, binding: str, said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        bound(tmp_path, {}, f"secrets: {{TOKEN: {binding}}}").resolve("acme/shop", "", ["TOKEN"])


def test_an_environments_own_secret_is_given_to_it_alone(tmp_path: Path) -> None:
    secrets = bound(
        tmp_path,
        {"A": "for all", "B": "for production"},
        "secrets: {TOKEN: {env: A}}, environments: {production: {secrets: {TOKEN: {env: B}}}}",
    )
    assert secrets.resolve("acme/shop", "production", ["TOKEN"]) == {"TOKEN": "for production"}
    assert secrets.resolve("acme/shop", "", ["TOKEN"]) == {"TOKEN": "for all"}


# --- reading a private repository -----------------------------------------------------------------------

PRIVATE = "clone_url: {url}, checkout: {{password: {{env: READ}}}}"


def test_a_repository_that_not_everybody_may_read_is_read_with_what_is_bound_for_it(tmp_path: Path) -> None:
    url = "https://git.example.org/acme/shop.git"
    found = bound(tmp_path, {"READ": "t0ken"}, PRIVATE.format(url=url)).checkout("acme/shop", url)
    assert found == Credential("t0ken", "x-access-token")
    named = f"clone_url: {url}, checkout: {{username: oauth2, password: {{env: READ}}}}"
    assert bound(tmp_path, {"READ": "t0ken"}, named).checkout("acme/shop", url) == Credential(
        "t0ken", "oauth2"
    )


@pytest.mark.parametrize("asked", ["https://evil.example.org/acme/shop.git", "", "/srv/acme/shop.git"])
def test_it_is_given_for_the_operators_own_address_and_for_no_other(tmp_path: Path, asked: str) -> None:
    url = "https://git.example.org/acme/shop.git"
    secrets = bound(tmp_path, {"READ": "t0ken"}, PRIVATE.format(url=url))
    assert secrets.checkout("acme/shop", asked) is None
    assert secrets.checkout("acme/other", url) is None
    unnamed = bound(tmp_path, {"READ": "t0ken"}, "checkout: {password: {env: READ}}")
    assert unnamed.checkout("acme/shop", asked) is None


def test_it_does_not_cross_the_network_in_the_clear(tmp_path: Path) -> None:
    url = "http://git.example.org/acme/shop.git"
    with pytest.raises(PermanentError, match=r"is not sent to http://git\.example\.org") as caught:
        bound(tmp_path, {"READ": "t0ken"}, PRIVATE.format(url=url)).checkout("acme/shop", url)
    assert "t0ken" not in str(caught.value)
