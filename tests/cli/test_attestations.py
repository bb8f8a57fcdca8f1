from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.attested import BUILT, IMAGE, KEY, OLD_KEY, OTHER, delivery, resigned
from tests.cli.house import House, Said
from tests.registry import a_registry
from turnout.core.dsse import Signed
from turnout.core.model import Outcome
from turnout.core.run import Run


@pytest.fixture
def signing(house: House) -> House:
    house.orchestrator = replace(house.orchestrator, attesting=house.wiring.attesting)
    return house


def delivered(house: House, security: Outcome = Outcome.SUCCESS) -> Run:
    run = house.push(delivery())
    house.ends(run, "test")
    house.ends(run, "build", outputs=BUILT)
    return house.ends(run, "security", security)


def exported(house: House, folder: Path, *arguments: str) -> Path:
    said = house.turnout("attestations", *(arguments or ("latest",)))
    assert (said.status, said.err) == (0, "")
    path = folder / "shop.intoto.jsonl"
    path.write_text(said.out)
    return path


def spoil(house: House, stage: str, before: str, after: str) -> None:
    """Somebody writes to the database who has not the key."""
    with house.store.database.write() as connection:
        changed = connection.execute(
            text(
                "UPDATE attestations SET payload = replace(payload, :before, :after) WHERE payload LIKE :stage"
            ),
            {"before": before, "after": after, "stage": f'%"stage":"{stage}","startedOn"%'},
        )
    assert changed.rowcount == 1


def refused(said: Said, why: str) -> None:
    assert (said.status, said.err) == (1, "")
    assert why in said.out


def test_an_image_is_verified_with_who_built_it_and_what_passed_on_it(signing: House) -> None:
    run = delivered(signing)
    said = signing.turnout("verify", f"registry.example.org/shop@{IMAGE}", "--require", "build,security")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        f"✔ {IMAGE} was built by build in run {run.id[:12]}, attempt 1 of acme/shop from commit aaaaaaaaaaaa,"
        " plan dddddddddddd",
        f"  test in run {run.id[:12]}, attempt 1 passed on it",
        f"  security in run {run.id[:12]}, attempt 1 passed on it",
    ]


def test_programs_are_told_all_of_it(signing: House) -> None:
    run = delivered(signing)
    told = signing.turnout("verify", IMAGE, "--json").json
    assert (told["digest"], told["verified"], told["problems"]) == (IMAGE, True, [])
    assert [each["run"] for each in told["built"]] == [run.id]
    assert [each["stage"] for each in told["passed"]] == ["test", "security"]
    assert told["built"][0]["commit"] == "a" * 40


def test_what_nobody_attests_is_not_verified(signing: House) -> None:
    delivered(signing)
    refused(signing.turnout("verify", OTHER), f"nothing attests who built {OTHER}")
    refused(signing.turnout("verify", IMAGE, "--require", "stage:soak"), "stage soak has passed")
    refused(signing.turnout("verify", IMAGE, "--project", "acme/other"), "not for acme/other")
    assert signing.turnout("verify", OTHER, "--json").status == 1


def test_a_failed_check_is_told(signing: House) -> None:
    run = delivered(signing, Outcome.FAILURE)
    refused(
        signing.turnout("verify", IMAGE, "--require", "security"),
        f"security in run {run.id[:12]}, attempt 1 ended",
    )
    assert signing.turnout("verify", IMAGE).status == 0


def test_one_changed_byte_in_the_database_is_told(signing: House) -> None:
    delivered(signing)
    spoil(signing, "security", '"number":1', '"number":2')
    refused(signing.turnout("verify", IMAGE), "the signature is not of this statement")


@pytest.mark.parametrize(
    "image", ["shop@sha256:abc", "sha256:abc", "No Image", "registry.example.org/shop@main"]
)
def test_what_names_no_image_is_an_error_that_says_what_to_write(signing: House, image: str) -> None:
    said = signing.turnout("verify", image)
    assert said.status == 2
    assert "@sha256:<64 hex digits>" in said.err


def test_of_a_tag_what_it_points_to_now_is_verified(signing: House) -> None:
    delivered(signing)
    with a_registry({"/v2/shop/manifests/main": IMAGE, "/v2/shop/manifests/moved": OTHER}) as address:
        said = signing.turnout("verify", f"{address}/shop:main")
        assert said.status == 0
        assert f"✔ {IMAGE} was built" in said.out
        refused(signing.turnout("verify", f"{address}/shop:moved"), f"nothing attests who built {OTHER}")


def test_a_file_is_verified_elsewhere_with_the_public_key_alone(signing: House, tmp_path: Path) -> None:
    delivered(signing)
    file, key = exported(signing, tmp_path), tmp_path / "key.pem"
    key.write_text(signing.turnout("attestation-key").out)
    with signing.store.database.write() as connection:
        connection.execute(text("DELETE FROM attestations"))
    assert signing.turnout("verify", IMAGE).status == 1
    checked = ["verify", IMAGE, "--file", str(file), "--key", str(key), "--require", "build,security"]
    assert signing.turnout(*checked).status == 0
    test, _build, security = file.read_text().splitlines(keepends=True)
    file.write_text(test + security)
    refused(signing.turnout(*checked), "nothing attests who built")


def test_a_file_that_was_changed_is_refused(signing: House, tmp_path: Path) -> None:
    delivered(signing)
    file = exported(signing, tmp_path)
    lines = [Signed.model_validate_json(line) for line in file.read_text().splitlines()]
    content = lines[2].payload
    lines[2] = lines[2].with_(payload=content[:40] + ("A" if content[40] != "A" else "B") + content[41:])
    file.write_text("".join(json.dumps(each.to_json()) + "\n" for each in lines))
    refused(signing.turnout("verify", IMAGE, "--file", str(file)), "the signature is not of this statement")


def test_a_key_that_is_not_believed_is_refused(signing: House, tmp_path: Path) -> None:
    delivered(signing)
    file, key = exported(signing, tmp_path), tmp_path / "key.pem"
    key.write_text(OLD_KEY.public)
    refused(signing.turnout("verify", IMAGE, "--file", str(file), "--key", str(key)), "not believed here")


def test_others_statements_in_a_file_are_passed_over(signing: House, tmp_path: Path) -> None:
    delivered(signing)
    file = exported(signing, tmp_path)
    first = Signed.model_validate_json(file.read_text().splitlines()[0])
    foreign = json.dumps(resigned(first, KEY).to_json())
    file.write_text(f"# notes\n{foreign}\n{{}}\n{file.read_text()}")
    assert signing.turnout("verify", IMAGE, "--file", str(file)).status == 0


def test_one_envelope_may_also_be_laid_out_for_people(signing: House, tmp_path: Path) -> None:
    delivered(signing)
    file = exported(signing, tmp_path, "latest", "build")
    file.write_text(json.dumps(json.loads(file.read_text()), indent=2))
    assert signing.turnout("verify", IMAGE, "--file", str(file), "--require", "build").status == 0


@pytest.mark.parametrize("content", ["", "{}", "nonsense", "[" * 100_000])
def test_a_file_without_an_envelope_is_an_error(signing: House, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    said = signing.turnout("verify", IMAGE, "--file", str(tmp_path / "x.json"))
    assert said.status == 2
    assert "no signed envelope" in said.err


def test_a_file_that_is_not_there_is_an_error(signing: House, tmp_path: Path) -> None:
    said = signing.turnout("verify", IMAGE, "--file", str(tmp_path / "nothing"))
    assert said.status == 2
    assert "can't be read" in said.err


def test_the_attestations_of_a_run_or_a_stage_are_exported(signing: House) -> None:
    delivered(signing)
    assert len(signing.turnout("attestations", "latest").lines) == 3
    (only,) = signing.turnout("attestations", "latest", "build").lines
    assert only["payloadType"] == "application/vnd.in-toto+json"
    said = signing.turnout("attestations", "latest", "buidl")
    assert said.status == 2
    assert "it has test, build" in said.err


def test_the_keys_that_count_are_shown_the_one_that_signs_first(
    signing: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_ATTESTATION_KEY", KEY.pem)
    monkeypatch.setenv("TURNOUT_ATTESTATION_TRUSTED", OLD_KEY.public)
    assert signing.turnout("attestation-key").out == KEY.public + OLD_KEY.public
    monkeypatch.setenv("TURNOUT_ATTESTATION_TRUSTED", "nonsense")
    said = signing.turnout("attestation-key")
    assert said.status == 2
    assert "no public key" in said.err


def test_after_a_rotation_what_was_signed_before_is_verified_while_the_old_key_is_trusted(
    signing: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(signing)
    before = signing.turnout("attestation-key").out
    monkeypatch.setenv("TURNOUT_ATTESTATION_KEY", KEY.pem)
    refused(signing.turnout("verify", IMAGE), "not believed here")
    monkeypatch.setenv("TURNOUT_ATTESTATION_TRUSTED", before)
    assert signing.turnout("verify", IMAGE).status == 0
