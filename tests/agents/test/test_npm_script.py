from __future__ import annotations

import pytest

from agents.test.npm_script import Unclear, is_placeholder, read_script


def read(**scripts: str) -> list[tuple[str, str]]:
    return [(command.text, command.runner) for command in read_script(scripts)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("jest", [("jest", "jest")]),
        ("mocha -r esm 'test/**/*.js'", [("mocha -r esm 'test/**/*.js'", "mocha")]),
        ("nyc --reporter text mocha spec", [("mocha spec", "mocha")]),
        ("c8 node --test", [("node --test", "node")]),
        ("npx vitest run", [("vitest run", "vitest")]),
        ("yarn jest --ci", [("jest --ci", "jest")]),
        ("NODE_ENV=test nyc mocha", [("NODE_ENV=test mocha", "mocha")]),
        ("cross-env A=b nyc mocha", [("cross-env A=b mocha", "mocha")]),
        ("node --vm node_modules/jest/bin/jest.js", [("node --vm node_modules/jest/bin/jest.js", "jest")]),
        ("react-scripts test", [("react-scripts test", "jest")]),
        ("node --import tsx --test a.ts", [("node --import tsx --test a.ts", "node")]),
        ("node test/mocha.js", [("node test/mocha.js", "")]),
        ("tsc && mocha", [("tsc", ""), ("mocha", "mocha")]),
        ("eslint . && mocha && standard", [("mocha", "mocha")]),
        ("mocha -g 'a && b'", [("mocha -g 'a && b'", "mocha")]),
        ("tape test.js", [("tape test.js", "")]),
    ],
)
def test_a_script_says_which_runner_there_is_and_how_to_start_it(
    script: str, expected: list[tuple[str, str]]
) -> None:
    assert read(test=script) == expected


def test_scripts_that_a_script_calls_are_followed_and_those_that_lint_are_left_out() -> None:
    assert read(
        test="npm run lint && npm run build && nyc npm run test:unit",
        lint="eslint .",
        build="tsc -p .",
        **{"test:unit": "mocha spec"},
    ) == [("tsc -p .", ""), ("mocha spec", "mocha")]
    assert read(pretest="npm run build", build="rollup -c", test="jest") == [
        ("rollup -c", ""),
        ("jest", "jest"),
    ]
    assert read(test="run-s build unit", build="tsc", unit="vitest") == [("tsc", ""), ("vitest", "vitest")]


@pytest.mark.parametrize(
    "script", ["tape t.js | tap", "a; b", "a || b", "mocha > out", "a & b", "echo `x`", "(a)"]
)
def test_more_of_the_shell_than_can_be_taken_apart_is_said_to_be(script: str) -> None:
    with pytest.raises(Unclear):
        read(test=script)


def test_a_script_that_calls_itself_ends() -> None:
    with pytest.raises(Unclear):
        read(test="npm run unit", unit="npm test")


def test_what_npm_init_writes_is_no_test() -> None:
    assert is_placeholder({"test": 'echo "Error: no test specified" && exit 1'})
    assert is_placeholder({})
    assert not is_placeholder({"test": "mocha"})
