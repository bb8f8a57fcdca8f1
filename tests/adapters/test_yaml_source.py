from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.writing import reads_or_says_where
from turnout.adapters import yaml_source
from turnout.adapters.yaml_source import load, load_bytes
from turnout.core.document import Place, render_path
from turnout.core.errors import InvalidConfig, Problem


def problems(text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(InvalidConfig) as caught:
        load_bytes(text, "f.yml") if isinstance(text, bytes) else load(text, "f.yml")
    return caught.value.problems


def the_problem(text: str | bytes) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def test_every_key_value_and_item_knows_its_place() -> None:
    document = load("a:\n  b: [x,\n      y]\n", "f.yml")
    assert document.place_of_key(("a",)) == Place(1, 1)
    assert document.place_of_key(("a", "b")) == Place(2, 3)
    assert document.place(("a", "b")) == Place(2, 6)
    assert document.place(("a", "b", 0)) == Place(2, 7)
    assert document.place(("a", "b", 1)) == Place(3, 7)


def test_a_path_that_is_not_in_the_file_is_placed_at_its_nearest_parent() -> None:
    document = load("a:\n  b: 1\n", "f.yml")
    assert document.place(("a", "c", "d")) == document.place(("a",)) == Place(2, 3)
    assert document.existing(("a", "b", 0)) == ("a", "b")


def test_columns_count_characters_not_bytes() -> None:
    assert load("{ä: 1, b: 2}", "f.yml").place_of_key(("b",)) == Place(1, 8)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0xff", 255),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("12:30:45", "12:30:45"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("1234567890123456789012", "1234567890123456789012"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!float 12", 12),
    ],
)
def test_scalars_are_those_of_the_core_schema_that_json_can_hold(written: str, read: object) -> None:
    found = load(f"key: {written}\n", "f.yml").tree["key"]
    assert found == read
    assert type(found) is type(read)


def test_on_is_a_key_like_any_other() -> None:
    assert load("on: {push: {}}", "f.yml").tree == {"on": {"push": {}}}


@pytest.mark.parametrize(
    ("written", "read"), [("3.10", "3.10"), ("0755", "0755"), ("3.11", 3.11), ("80.0", 80.0)]
)
def test_a_number_that_would_lose_a_zero_stays_text(written: str, read: object) -> None:
    assert load(f"with: {written}", "f.yml").tree["with"] == read


@pytest.mark.parametrize("key", ["env", "matrix", "branch", "branches", "tag", "tags"])
def test_under_some_keys_a_number_is_the_text_that_was_written(key: str) -> None:
    assert load(f"{key}: {{python: [3.10, 3.11, 2, true]}}", "f.yml").tree[key] == {
        "python": ["3.10", "3.11", "2", "true"]
    }


def test_a_key_that_is_a_number_is_the_text_that_was_written() -> None:
    assert load("3.10: x\n010: y\ntrue: z", "f.yml").tree == {"3.10": "x", "010": "y", "true": "z"}


def test_aliases_stand_for_what_they_name_at_the_place_of_the_anchor() -> None:
    document = load("a: &x {b: 1}\nc: *x\n", "f.yml")
    assert document.tree["c"] == {"b": 1}
    assert document.place(("c", "b")) == Place(1, 11)


def test_merged_keys_give_way_to_those_beside_them() -> None:
    text = "one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\nboth: {<<: [*one, *two], c: 3}\n"
    assert load(text, "f.yml").tree["both"] == {"a": 1, "b": 1, "c": 3}


def test_a_byte_order_mark_is_no_part_of_the_file() -> None:
    assert load_bytes(b"\xef\xbb\xbfa: 1", "f.yml").tree == {"a": 1}


def test_an_empty_file_is_an_empty_document() -> None:
    assert load("# nothing but a comment\n", "f.yml").tree is None


def test_a_key_twice_is_named_with_the_place_of_both() -> None:
    found = the_problem("a:\n  x: 1\n  y: 2\n  x: 3\n")
    assert (found.line, found.column, found.path) == (4, 3, "a.x")
    assert "`x`" in found.message
    assert "line 2" in found.hint


def test_a_key_twice_deep_in_a_list_has_its_path() -> None:
    assert the_problem("a:\n  - b\n  - {c: {d: 1, d: 2}}\n").path == "a[1].c.d"


def test_all_keys_that_are_there_twice_are_named() -> None:
    assert [each.line for each in problems("a: 1\na: 2\nb: 1\nb: 2\n")] == [2, 4]


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a:\n\t- b\n", 2, 1, "tab"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: [1\nb: 2\n", 2, 2, "not YAML"),
        ("a: b: c\n", 1, 5, "not YAML"),
        ("a: 'x\n", 2, 1, "not YAML"),
        ("a: \x07\n", 1, 4, "U+0007"),
        ("a: x\0\n", 1, 5, "U+0000"),
        ('a: "\\0"\n', 1, 4, "U+0000"),
        ("a: \ud800\n", 1, 4, "U+D800"),
        ("a: *b\n", 1, 4, "anchor"),
        ("a: &b [*b]\n", 1, 8, "inside its own anchor"),
        ("a: !!python/object:os.system {}\n", 1, 4, "tag"),
        ("a: !!binary aGk=\n", 1, 4, "tag"),
        ("a: !!int x\n", 1, 4, "no int"),
        ("? [a]\n: 1\n", 1, 3, "key"),
        ("~: 1\n", 1, 1, "key"),
        ("a: {<<: 1}\n", 1, 9, "<<"),
    ],
)
def test_what_cannot_be_read_is_placed(text: str, line: int, column: int, says: str) -> None:
    found = the_problem(text)
    assert (found.line, found.column) == (line, column), found
    assert says in found.message


def test_bytes_that_are_not_utf8_are_placed() -> None:
    found = the_problem(b"a: 1\nb: \xff\n")
    assert (found.line, found.column) == (2, 4)
    assert "0xff" in found.message


def test_nesting_has_a_limit() -> None:
    assert "32 levels" in the_problem("[" * 5000).message
    assert load("[" * 32 + "]" * 32, "f.yml").tree is not None


def test_nesting_by_aliases_has_the_same_limit() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60)]
    assert "32 levels" in the_problem("\n".join(lines)).message


def test_a_bomb_of_aliases_is_defused() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "20,000 values" in the_problem("\n".join(lines)).message


def test_a_long_text_is_not_multiplied_by_aliases() -> None:
    text = f"a: &a {'x' * 100_000}\nb: [{','.join(['*a'] * 50)}]\n"
    assert "characters" in the_problem(text).message


def test_a_file_has_a_size() -> None:
    found = the_problem("a: " + "x" * yaml_source.MAX_BYTES)
    assert (found.line, found.column) == (1, 1)
    assert "262,144" in found.message


@pytest.mark.parametrize(
    "unit",
    [
        "[",
        "{a: ",
        "- ",
        "? ",
        "a: ",
        "&a ",
        "*a : ",
        "'",
        '"\\\n',
        "\n",
        "- a\n",
        "!a ",
        "%TAG ! x\n",
        "|\n x\n",
        "#",
        "[a,",
    ],
)
def test_no_file_takes_long(unit: str) -> None:
    text = (unit * yaml_source.MAX_BYTES)[: yaml_source.MAX_BYTES]
    before = time.process_time()
    assert reads_or_says_where(lambda: load(text, "f.yml"))
    assert time.process_time() - before < 5


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_places(text: str) -> None:
    assert reads_or_says_where(lambda: load(text, "f.yml"))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,? \n\t\\~<0.", max_size=60))
def test_any_text_of_yaml_signs_is_read_or_refused_with_places(text: str) -> None:
    assert reads_or_says_where(lambda: load(text, "f.yml"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused_with_places(raw: bytes) -> None:
    assert reads_or_says_where(lambda: load_bytes(raw, "f.yml"))


def test_paths_are_written_as_people_read_them() -> None:
    assert render_path(("pipeline", "stages", 2, "retries", "max")) == "pipeline.stages[2].retries.max"
    assert render_path(()) == ""
