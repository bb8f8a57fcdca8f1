from __future__ import annotations

import pytest

from tests.core.writing import project, project_problems
from turnout.core.config import ProjectConfig
from turnout.core.model import Runtime


def test_a_repository_is_enough() -> None:
    config = project("")
    assert config == ProjectConfig(repository="org/shop")
    assert config.runtime is Runtime.PROCESS
    assert config.forks.run == "approval"
    assert not config.forks.network
    assert config.forks.secrets == "never"
    assert config.branches.default == "main"
    assert config.cache.dependencies


def test_every_key_is_read() -> None:
    config = project(
        """
        clone_url: "git@example.org:org/shop.git",
        provider: {kind: github, base_url: "https://github.example.org/api/v3/"},
        branches: {default: trunk, protected: [trunk, "release/*"]},
        pipeline_file: ci/pipeline.yml,
        secrets: {TOKEN: {env: SHOP_TOKEN}},
        environments: {staging: , production: {branches: trunk, tags: "v*", approval: 2}},
        forks: {run: never, by: "@org/team", network: true},
        limits: {timeout_max: 2h, parallel: 8, retries_max: 3, cpu: 500m, memory: 8Gi},
        channels: {slack: "#shop", email: shop@example.org},
        runtime: docker,
        cache: {dependencies: false},
        """
    )
    assert config.provider.base_url == "https://github.example.org/api/v3"
    assert config.branches.protected == ("trunk", "release/*")
    assert config.secrets["TOKEN"].env == "SHOP_TOKEN"
    assert config.environments["staging"].approval is None
    approval = config.environments["production"].approval
    assert approval is not None
    assert approval.required == 2
    assert config.limits.timeout_max == 7200.0
    assert (config.limits.cpu, config.limits.memory) == (0.5, 8 * 1024**3)
    assert config.runtime is Runtime.DOCKER
    assert config.stated


def test_a_project_made_from_its_name_has_stated_nothing() -> None:
    assert not ProjectConfig(repository="org/shop").stated


def test_the_pipeline_file_is_looked_for_in_two_places_unless_it_is_named() -> None:
    assert project("").pipeline_files == ("pipeline.yml", ".turnout/pipeline.yml")
    assert project("pipeline_file: ci/p.yml").pipeline_files == ("ci/p.yml",)


def test_the_environments_secrets_win_over_the_projects() -> None:
    config = project(
        "secrets: {A: {env: OUTER}, B: {env: B}}, environments: {production: {secrets: {A: {file: /run/a}}}}"
    )
    assert config.bound_secrets("")["A"].env == "OUTER"
    bound = config.bound_secrets("production")
    assert bound["A"].file == "/run/a"
    assert bound["B"].env == "B"
    assert config.bound_secrets("unheard-of") == config.bound_secrets("")


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("attested: true", ("*",)),
        ("attested: false", ()),
        ("attested: security", ("security",)),
        ("attested: [build, 'stage:soak']", ("build", "stage:soak")),
        ("", ()),
    ],
)
def test_an_environment_says_what_must_be_attested(given: str, asked: tuple[str, ...]) -> None:
    config = project(f"environments: {{production: {{{given}}}}}")
    assert config.environments["production"].attested == asked


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("project: {}", "project", "key `repository` is missing"),
        ("project: {repository: shop}", "project.repository", "like `owner/name`"),
        ("project: {repository: ../shop}", "project.repository", "like `owner/name`"),
        ("repository: a/b", "repository", "outside of `project`"),
        ("project: {repository: a/b, clone_url: --upload-pack=x}", "project.clone_url", "that git can clone"),
        ("project: {repository: a/b, clone_url: 'https://u:p@h/x'}", "project.clone_url", "no place"),
        ("project: {repository: a/b, clone_url: 'https://t0ken@h/x'}", "project.clone_url", "no place"),
        ("project: {repository: a/b, pipeline_file: ../x}", "project.pipeline_file", "inside the repository"),
        ("project: {repository: a/b, pipeline_file: /x}", "project.pipeline_file", "inside the repository"),
        (
            "project: {repository: a/b, provider: {base_url: 'ftp://x'}}",
            "project.provider.base_url",
            "address",
        ),
        ("project: {repository: a/b, secrets: {T: {env: A, file: /b}}}", "project.secrets.T", "exactly one"),
        ("project: {repository: a/b, secrets: {T: {}}}", "project.secrets.T", "exactly one"),
        ("project: {repository: a/b, secrets: {T: {file: b}}}", "project.secrets.T.file", "absolute path"),
        ("project: {repository: a/b, secrets: {T: }}", "project.secrets.T", "got nothing"),
        ("project: {repository: a/b, secrets: {T-T: {env: A}}}", "project.secrets.T-T", "variable's name"),
        (
            "project: {repository: a/b, forks: {secrets: always}}",
            "project.forks.secrets",
            "expected one of never",
        ),
        ("project: {repository: a/b, forks: {run: approve}}", "project.forks.run", "one of approval"),
        ("project: {repository: a/b, limits: {parallel: 0}}", "project.limits.parallel", "at least 1"),
        ("project: {repository: a/b, limits: {paralel: 1}}", "project.limits.paralel", "unknown key"),
        (
            "project: {repository: a/b, environments: {p: {branches: /x}}}",
            "project.environments.p.branches",
            "slash",
        ),
        (
            "project: {repository: a/b, environments: {p: {attested: [build, 'job:unit']}}}",
            "project.environments.p.attested[1]",
            "an agent like `security`, or a stage like `stage:unit`",
        ),
        (
            "project: {repository: a/b, environments: {p: {attested: [build, build]}}}",
            "project.environments.p.attested",
            "listed twice",
        ),
        (
            "project: {repository: a/b, environments: {p: {attested: 3}}}",
            "project.environments.p.attested",
            "expected",
        ),
        ("project: {repository: a/b, runtime: lambda}", "project.runtime", "expected one of process"),
        (
            "project: {repository: a/b, branches: {default: ''}}",
            "project.branches.default",
            "expected some text",
        ),
    ],
)
def test_one_wrong_thing_is_one_problem_with_its_path(text: str, path: str, says: str) -> None:
    (found,) = project_problems(text)
    assert found.path == path
    assert says in found.message
    assert found.line == 1
    assert found.column >= 1


def test_an_unknown_limit_is_answered_with_the_nearest() -> None:
    (found,) = project_problems("project: {repository: a/b, limits: {timeout: 1h}}")
    assert found.hint == "did you mean `timeout_max`?"
