from __future__ import annotations

from agents.sdk.python_metadata import wanted

REQUIRES = [
    "attrs>=22",
    'tomli; python_version < "3.11"',
    "pytest>=8; extra == 'test'",
    'coverage (>=7) ; (python_version >= "3.9") and extra == "Test"',
    "sphinx; extra == 'docs'",
    "app[test,docs]; extra == 'all'",
]


def test_requirements_of_the_extras_asked_for_are_named_and_others_are_not() -> None:
    assert wanted("app", REQUIRES, []) == ["attrs>=22", 'tomli; python_version < "3.11"']
    assert wanted("app", REQUIRES, ["test"])[2:] == [
        "pytest>=8; python_version > '0'",
        "coverage (>=7) ; (python_version >= \"3.9\") and python_version > '0'",
    ]


def test_an_extra_may_name_extras_of_the_project_itself() -> None:
    lines = wanted("App", REQUIRES, ["all"])
    assert [line.split(";")[0] for line in lines] == [
        "attrs>=22", "tomli", "pytest>=8", "coverage (>=7) ", "sphinx",
    ]  # fmt: skip


def test_a_project_that_only_begins_with_the_same_name_is_another() -> None:
    assert wanted("app", ["app-plugins", "app.core>=1"], []) == ["app-plugins", "app.core>=1"]
