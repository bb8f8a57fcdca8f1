"""The use case of attestations: results are signed; what speaks of an image is found, and given to who deploys it.

Statements are signed when the result is recorded, and kept in the same transaction: whoever changes the record later,
and has not the key, is found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from turnout.core import messages as m
from turnout.core.attestation import (
    Attestation,
    Maker,
    counted,
    digests_in,
    images_of,
    payload,
    read_statement,
    statement,
)
from turnout.core.dsse import Attested, NotAttested
from turnout.core.events import Event
from turnout.core.judging import matches, origin
from turnout.core.ports import Signer, Store
from turnout.core.run import Run

BUILDS = 10
CHECKS = 100
RUNS = 20
"""Of an image: the newest builds and checks that are looked at, and the runs that they are of."""
IMAGES = 50
"""That one task may mean."""
ROOM = 300_000
"""Characters of the statements in one task, which must fit into a record of the bus."""


@dataclass(frozen=True)
class Attesting:
    """``signer`` None: nothing is signed, and nothing that must be attested can be deployed. ``believed``: public keys
    in PEM that count beside the signer's own: those that it had before.
    """

    store: Store
    signer: Signer | None
    maker: Maker = field(default_factory=Maker)
    believed: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Public keys in PEM, the current one first."""
        own = (self.signer.public,) if self.signer is not None else ()
        return tuple(dict.fromkeys((*own, *self.believed)))

    def sign(self, run: Run, events: Iterable[Event]) -> tuple[Attestation, ...]:
        """``events``: the newest of ``run``. One of each result among them that counts."""
        if self.signer is None:
            return ()
        return tuple(self._signed(run, attempt, self.signer) for attempt in counted(events))

    def of_image(self, image: str) -> list[Attestation]:
        """Everything that was signed in the runs that gave the image or were given it; ``image``: ``sha256:…``."""
        gave = self.store.attestations_of(image, gave=True, limit=BUILDS)
        given = self.store.attestations_of(image, gave=False, limit=CHECKS)
        runs = list(dict.fromkeys(each.run for each in (*gave, *given)))[:RUNS]
        return [each for run in runs for each in self.store.attestations(run)]

    def fill(self, task: m.TaskRequested, run: Run, fresh: Sequence[Attestation] = ()) -> m.TaskRequested:
        """The task with the statements on the images that it may mean, where its environment asks for them.

        ``fresh``: those of ``run`` that are not in the store yet.
        """
        if task.attested is None:
            return task
        images = sorted({*digests_in(task.upstream), *digests_in(task.options)})[:IMAGES]
        known = [*fresh, *self.store.attestations(run.id)] if images else []
        known += [each for image in images for each in self.of_image(image)]
        chosen = list(
            _chosen({each.attempt: each for each in reversed(known)}.values(), images, task.attested)
        )
        room, taken = ROOM, []
        for each in chosen:
            room -= len(each.payload) * 4 // 3 + 500
            if room < 0:
                break
            taken.append(each.signed())
        told = task.attested.with_(keys=self.keys, statements=tuple(taken), left_out=len(chosen) - len(taken))
        return task.with_(attested=told)

    def _signed(self, run: Run, attempt: str, signer: Signer) -> Attestation:
        made = statement(run, attempt, self.maker)
        text = payload(made)
        return Attestation(
            run=run.id,
            attempt=attempt,
            at=made.predicate.finished_on,
            keyid=signer.keyid,
            payload=text,
            signature=signer.sign(text),
            gave=images_of(made.predicate.outputs),
            given=images_of(made.predicate.inputs),
        )


def _chosen(known: Iterable[Attestation], images: Sequence[str], asked: Attested) -> Iterator[Attestation]:
    """Who built the images, and what is asked for: of each task the newest word, the newest first. What can't be read
    goes along, so that whoever checks it can say so.
    """
    seen = set()
    for each in sorted(known, key=lambda each: (each.at, each.attempt), reverse=True):
        try:
            fact = read_statement(each.payload.encode()).predicate
        except NotAttested:
            yield each
            continue
        task = (*origin(fact), fact.stage, fact.task)
        built = not set(images).isdisjoint(images_of(fact.outputs))
        wanted = any(matches(want, fact, image) for want in asked.required for image in images)
        if (built or wanted) and task not in seen:
            seen.add(task)
            yield each
