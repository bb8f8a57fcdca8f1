"""Signed statements, and the images that they speak of. All functions take a link."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.link import Link, Statement
from turnout.core.attestation import Attestation

_KEEP = Statement(
    "INSERT INTO attestations (run, attempt, at, keyid, payload, signature)"
    " VALUES (:run, :attempt, :at, :keyid, :payload, :signature) ON CONFLICT DO NOTHING"
)
_POINT = Statement(
    "INSERT INTO attested_images (digest, gave, at, run, attempt) VALUES (:digest, :gave, :at, :run, :attempt)"
    " ON CONFLICT DO NOTHING"
)
_OF_RUN = Statement("SELECT run, attempt, at, keyid, payload, signature FROM attestations WHERE run = :run")
_OF_IMAGE = Statement(
    "SELECT a.run, a.attempt, a.at, a.keyid, a.payload, a.signature FROM attested_images i"
    " JOIN attestations a ON a.run = i.run AND a.attempt = i.attempt"
    " WHERE i.digest = :digest AND i.gave = :gave ORDER BY i.at DESC, i.run DESC, i.attempt DESC LIMIT :limit"
)


def keep(link: Link, made: Iterable[Attestation]) -> None:
    for each in made:
        at = micros(each.at)
        link.send(
            _KEEP,
            {
                "run": each.run,
                "attempt": each.attempt,
                "at": at,
                "keyid": each.keyid,
                "payload": each.payload,
                "signature": each.signature,
            },
        )
        for gave, images in ((1, each.gave), (0, each.given)):
            for digest in images:
                named = {"digest": digest, "gave": gave, "at": at, "run": each.run, "attempt": each.attempt}
                link.send(_POINT, named)


def of_run(link: Link, run: str) -> list[Attestation]:
    found = _read(link.send(_OF_RUN, {"run": run}).rows)
    return sorted(found, key=lambda each: (each.at, each.attempt))


def of_image(link: Link, digest: str, *, gave: bool, limit: int) -> list[Attestation]:
    return _read(link.send(_OF_IMAGE, {"digest": digest, "gave": int(gave), "limit": limit}).rows)


def _read(rows: Sequence[tuple[Any, ...]]) -> list[Attestation]:
    return [
        Attestation(run, attempt, instant(at), keyid, payload, signature)
        for run, attempt, at, keyid, payload, signature in rows
    ]
