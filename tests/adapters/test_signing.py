from __future__ import annotations

import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from tests.attested import KEY, OLD_KEY, Works, altered, envelopes, resigned
from turnout.adapters.settings import InvalidSettings, read_settings
from turnout.adapters.signing import InvalidKey, SigningKey, believe, public_keys
from turnout.core.dsse import NotAttested, Signed, UnknownKey, pae


@pytest.fixture
def signed() -> Signed:
    works = Works()
    run = works.push()
    works.ends(run, "test")
    return envelopes(works.store, run)[0]


def read_elsewhere(signed: Signed, key: SigningKey = KEY) -> None:
    """By securesystemslib, which shares nothing with us. Raises: VerificationError."""
    known = SSlibKey.from_crypto(believe([key.public]).keys[key.keyid], key.keyid)
    Envelope.from_dict(signed.to_json()).verify([known], 1)


def test_what_is_signed_can_be_opened(signed: Signed) -> None:
    assert believe([KEY.public]).open(signed).predicate.stage == "test"


def test_another_implementation_verifies_our_envelopes(signed: Signed) -> None:
    read_elsewhere(signed)
    with pytest.raises(VerificationError):
        read_elsewhere(altered(signed, '"success"', '"failure"'))
    with pytest.raises(VerificationError):
        read_elsewhere(resigned(signed, OLD_KEY, claimed=KEY.keyid))


def test_what_is_signed_is_the_type_and_the_content_each_with_its_length() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_same_is_always_signed_the_same() -> None:
    assert KEY.sign("{}") == SigningKey(KEY.pem).sign("{}")
    assert KEY.sign("{}") != KEY.sign("{ }")


@pytest.mark.parametrize(
    ("before", "after"), [('"success"', '"failure"'), ("acme/shop", "acme/shoq"), ("a" * 40, "a" * 39 + "b")]
)
def test_a_changed_statement_is_refused(signed: Signed, before: str, after: str) -> None:
    with pytest.raises(NotAttested, match="not of this statement"):
        believe([KEY.public]).open(altered(signed, before, after))


def test_a_statement_of_another_type_is_refused_although_it_is_signed(signed: Signed) -> None:
    with pytest.raises(NotAttested, match=r"expected application/vnd\.in-toto"):
        believe([KEY.public]).open(signed.with_(payload_type="text/plain"))


def test_a_key_that_is_not_believed_is_named(signed: Signed) -> None:
    with pytest.raises(UnknownKey, match=KEY.keyid[:16]):
        believe([OLD_KEY.public]).open(signed)


def test_another_key_that_claims_to_be_the_right_one_is_refused(signed: Signed) -> None:
    with pytest.raises(NotAttested, match="not of this statement"):
        believe([KEY.public]).open(resigned(signed, OLD_KEY, claimed=KEY.keyid))


def test_after_a_rotation_the_key_of_before_is_believed_beside_the_new_one(signed: Signed) -> None:
    both = believe([OLD_KEY.public, KEY.public])
    assert both.open(signed) == both.open(resigned(signed, OLD_KEY))
    two = signed.with_(signatures=(*resigned(signed, OLD_KEY).signatures, *signed.signatures))
    assert believe([KEY.public]).open(two) == both.open(signed)


def test_damage_is_told_as_such(signed: Signed) -> None:
    with pytest.raises(NotAttested, match="no base64"):
        believe([KEY.public]).open(signed.with_(payload="%%%"))


def test_the_base64_of_urls_is_read_as_well(signed: Signed) -> None:
    text = signed.payload.replace("+", "-").replace("/", "_")
    assert believe([KEY.public]).open(signed.with_(payload=text)).predicate.stage == "test"


# --- keys ---------------------------------------------------------------------------------------------


def test_several_public_keys_are_read_from_one_text() -> None:
    text = f"# before\n{OLD_KEY.public}\nnow:\n{KEY.public}"
    assert set(believe(public_keys(text)).keys) == {KEY.keyid, OLD_KEY.keyid}


def test_what_is_no_key_is_said() -> None:
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    private = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(InvalidKey, match="Ed25519"):
        _ = SigningKey(private).keyid
    with pytest.raises(InvalidKey, match="Ed25519"):
        believe([public])
    with pytest.raises(InvalidKey, match="openssl genpkey"):
        _ = SigningKey("hello").keyid
    with pytest.raises(InvalidKey, match="no public key"):
        public_keys("hello")
    with pytest.raises(InvalidKey, match="public key is no PEM"):
        believe(["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
    assert issubclass(InvalidKey, InvalidSettings)


def test_a_key_is_never_shown() -> None:
    assert "PRIVATE" not in repr(KEY)


def test_a_key_is_made_once_under_the_home_and_is_private(turnout_home: object) -> None:
    settings = read_settings({"TURNOUT_HOME": str(turnout_home)})
    made = settings.attestation_pem()
    assert settings.attestation_pem() == made
    assert SigningKey(made).keyid
    assert (settings.home / "attestation.key").stat().st_mode & 0o777 == 0o600


def test_who_shares_a_server_key_signs_alike_and_a_key_that_is_set_wins(turnout_home: object) -> None:
    shared = {"TURNOUT_HOME": str(turnout_home), "TURNOUT_SERVER_KEY": "shared"}
    one, two = read_settings(shared), read_settings({**shared, "TURNOUT_HOME": f"{turnout_home}-two"})
    assert one.attestation_pem() == two.attestation_pem()
    assert not (one.home / "attestation.key").exists()
    given = read_settings({**shared, "TURNOUT_ATTESTATION_KEY": KEY.pem})
    assert SigningKey(given.attestation_pem()).keyid == KEY.keyid


def test_the_library_is_loaded_only_where_something_is_signed_or_checked() -> None:
    code = (
        "import sys, turnout.adapters.signing, turnout.attesting, turnout.orchestration, agents.sdk.attested\n"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
