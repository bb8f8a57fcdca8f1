"""Ed25519 keys that sign attestations, and those that are believed. `cryptography` is imported when a key is used.

The key's id is the sha256 (hex) of its public half as SubjectPublicKeyInfo in DER.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from turnout.adapters.settings import InvalidSettings
from turnout.core.attestation import Statement, read_statement
from turnout.core.dsse import IN_TOTO, NotAttested, Signed, UnknownKey, from_base64, pae

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PUBLIC = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class InvalidKey(InvalidSettings):
    """No key of the kind that is used here."""


@dataclass(frozen=True)
class SigningKey:
    """``pem``: an Ed25519 private key, PKCS #8, without a password. Read when it is first used; InvalidKey then."""

    pem: str = field(repr=False)

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            found = load_pem_private_key(self.pem.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise InvalidKey("TURNOUT_ATTESTATION_KEY: no PEM that can be read", _HOW) from error
        if not isinstance(found, Ed25519PrivateKey):
            raise InvalidKey("TURNOUT_ATTESTATION_KEY: not of the kind Ed25519", _HOW)
        return found

    @cached_property
    def public(self) -> str:
        """The public half, in PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @cached_property
    def keyid(self) -> str:
        return key_id(self._key.public_key())

    def sign(self, payload: str) -> str:
        """The signature of the envelope that holds it, in base64. Always the same of the same."""
        return base64.b64encode(self._key.sign(pae(IN_TOTO, payload.encode()))).decode()


_HOW = "make one with `openssl genpkey -algorithm ed25519`"


@dataclass(frozen=True)
class Believed:
    """Public keys by their ids."""

    keys: Mapping[str, Ed25519PublicKey]

    def sort(self, envelopes: Iterable[Signed]) -> tuple[list[Statement], list[NotAttested]]:
        """What is proved, and why the rest is not."""
        proved, refused = [], []
        for each in envelopes:
            try:
                proved.append(self.open(each))
            except NotAttested as error:
                refused.append(error)
        return proved, refused

    def open(self, signed: Signed) -> Statement:
        """What one of the keys has signed. Raises: NotAttested: unknown key, changed since, or no statement of ours."""
        from cryptography.exceptions import InvalidSignature

        if signed.payload_type != IN_TOTO:
            raise NotAttested(f"the envelope holds {signed.payload_type[:80]!r}, expected {IN_TOTO}")
        content = signed.content()
        known = [each for each in signed.signatures if each.keyid in self.keys]
        for each in known:
            try:
                self.keys[each.keyid].verify(from_base64(each.sig), pae(signed.payload_type, content))
            except InvalidSignature:
                continue
            return read_statement(content)
        if known:
            raise NotAttested("the signature is not of this statement", "it was changed after it was signed")
        ids = ", ".join(each.keyid[:16] or "of no name" for each in signed.signatures)
        raise UnknownKey(
            f"signed by a key that is not believed here: {ids}", "give its public half if it should be"
        )


def believe(pems: Iterable[str]) -> Believed:
    """Raises: InvalidKey."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = {}
    for pem in pems:
        try:
            found = load_pem_public_key(pem.encode())
        except ValueError as error:
            raise InvalidKey("a public key is no PEM that can be read") from error
        if not isinstance(found, Ed25519PublicKey):
            raise InvalidKey("a public key is not of the kind Ed25519")
        keys[key_id(found)] = found
    return Believed(keys)


def public_keys(text: str) -> tuple[str, ...]:
    """The public keys in PEM that stand in a text, one after another. Raises: InvalidKey where there is none."""
    found = tuple(f"{each.strip()}\n" for each in _PUBLIC.findall(text))
    if not found:
        raise InvalidKey("there is no public key in it", "expected PEM: -----BEGIN PUBLIC KEY-----")
    return found


def key_id(key: Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
