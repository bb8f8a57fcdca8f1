"""The use case of the webhook: verify, deduplicate, hand over to the bus, and only then say yes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from turnout.asking import Asking
from turnout.core import messages as m
from turnout.core.change import Ask, Change, NoChange
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ids import delivery_message_id, run_id
from turnout.core.nothing import Decided, Nothing, no_project
from turnout.core.ports import Clock, Commit, Delivery, Producer, Store
from turnout.core.topics import PIPELINE_EVENTS
from turnout.publishing import publish

MAX_BODY = 25 * 1024 * 1024
"""GitHub's own cap on a payload, in bytes."""
MAX_DELIVERY_ID = 200
MAX_EVENT_NAME = 100
MAX_LOOKED_UP = 20
"""Repositories of one installation whose project files are looked for."""
SOURCE = "/turnout/webhook"
PROVIDER = "github"
_ASKED_OTHERWISE = {"close": ("a run of it were under way whose concurrency group has `cancel_superseded`",)}


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is a JSON object."""

    status: int
    body: Mapping[str, Any]


ReadPayload = Callable[[str, bytes], Change | NoChange | Ask]
"""Event name and raw body to what they say. Raises: PermanentError."""


@dataclass(frozen=True)
class Webhook:
    """``secrets``: any of them may have signed (rotation). ``producer`` is None where the store's outbox is the log.

    ``asking``: what people ask for; None: they are not heard here. ``unserved``: of a repository, why pushes to it
    would start nothing; empty: a project file serves it.
    """

    store: Store
    producer: Producer | None
    clock: Clock
    secrets: tuple[bytes, ...]
    read_payload: ReadPayload
    asking: Asking | None = None
    unserved: Callable[[str], str] = lambda _repository: ""

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request. ``headers`` is read without regard to case. Never raises for anything a client sent."""
        named = {name.lower(): value for name, value in headers.items()}
        if len(body) > MAX_BODY:
            return _refusal(413, f"the body has {len(body)} bytes", f"send at most {MAX_BODY}")
        if not self.secrets:
            return _refusal(503, "no webhook secret is set", "set TURNOUT_WEBHOOK_SECRET and redeliver")
        signature = named.get("x-hub-signature-256", "")
        if not signature:
            return _refusal(401, "X-Hub-Signature-256 is missing", "set a secret in the webhook's settings")
        if not signed(self.secrets, body, signature):
            return _refusal(401, "X-Hub-Signature-256 does not match", "compare the secrets on both sides")
        event, delivery = named.get("x-github-event", ""), named.get("x-github-delivery", "")
        if not event or len(event) > MAX_EVENT_NAME or not event.isprintable():
            return _refusal(400, "X-GitHub-Event is missing or odd", "send GitHub's own headers")
        if not delivery or len(delivery) > MAX_DELIVERY_ID or not delivery.isprintable():
            return _refusal(400, "X-GitHub-Delivery is missing or odd", "send GitHub's own headers")
        try:
            found = self.read_payload(event, body)
        except PermanentError as error:
            return _refusal(400, error.message, error.hint)
        try:
            return self._accept(event, delivery, found)
        except TransientError as error:
            return _refusal(503, error.message, "redeliver; nothing is done twice")
        except PermanentError as error:
            return _refusal(422, error.message, error.hint)

    def _accept(self, event: str, delivery: str, found: Change | NoChange | Ask) -> Answer:
        now = self.clock.now()
        message = delivery_message_id(PROVIDER, delivery)
        row = Delivery(
            id=delivery,
            source=PROVIDER,
            event=event,
            repository=found.repository,
            status="received",
            received_at=now,
            message=message,
            sha=found.sha if isinstance(found, Change | Ask) else "",
        )
        known = self.store.receive(row)
        if known.status != "received":
            return self._again(known)
        if isinstance(found, Ask):
            return self._asked(found, row)
        if isinstance(found, NoChange):
            return self._ignored(row, self._looked_up(found))
        request = m.RunRequested(trigger=message, change=found, delivery=delivery, requested_by=found.author)
        self._send(((message, request),), replace(row, status="published"))
        return Answer(202, {"delivery": delivery, "status": "accepted", "run": run_id(message)})

    def _asked(self, ask: Ask, row: Delivery) -> Answer:
        if self.asking is None:
            return self._ignored(row, _refused(ask, f"{ask.verb}: nobody listens to what people ask here"))
        wanted = self.asking.wanted(ask, row.id, row.message)
        if isinstance(wanted, str):
            return self._ignored(row, _refused(ask, wanted[:500]))
        new = any(isinstance(message, m.RunRequested) for _, message in wanted.messages)
        told = replace(row, status="published" if new else "run", run=wanted.run, reason=wanted.said[:500])
        self._send(wanted.messages, told)
        return Answer(
            202, {"delivery": row.id, "status": "accepted", "run": wanted.run, "reason": wanted.said}
        )

    def _looked_up(self, found: NoChange) -> Nothing:
        """With what is to be done next, where an App or a webhook has just been set up."""
        said = {each: self.unserved(each) for each in found.installed[:MAX_LOOKED_UP]}
        lacking = {each: why for each, why in said.items() if why}
        if not lacking:
            return found.bare
        what = "; ".join(f"{each}: {why}" for each, why in lacking.items())
        return Nothing(
            reason=f"{found.reason}; {what}"[:500],
            rule=Decided.PROJECT,
            values={**found.values, "not served": list(lacking)},
            flips=tuple(flip for each in lacking for flip in no_project(each).flips),
        )

    def _ignored(self, row: Delivery, why: Nothing) -> Answer:
        self.store.update_delivery(replace(row, status="ignored", reason=why.reason, why=why))
        return Answer(202, {"delivery": row.id, "status": "ignored", "reason": why.reason})

    def _send(self, messages: Sequence[tuple[str, m.Message]], delivery: Delivery) -> None:
        """Record and publish them, each under its id."""
        now, key = self.clock.now(), delivery.repository
        records = tuple(
            m.wrap(message, id=id, source=SOURCE, at=now).to_record(PIPELINE_EVENTS, key)
            for id, message in messages
        )
        rows = self.store.commit(Commit(None, 0, (), records, now, delivery=delivery))
        publish(rows, self.store, self.producer, self.clock)

    def _again(self, known: Delivery) -> Answer:
        """A redelivery: what was said the first time, and nothing is done."""
        said: dict[str, Any] = {"delivery": known.id, "status": "known"}
        if known.status == "ignored":
            return Answer(200, said | {"reason": known.reason})
        return Answer(200, said | {"run": known.run or run_id(known.message)})


def _refused(ask: Ask, reason: str) -> Nothing:
    """Of what somebody asks for that comes to nothing."""
    about = {"run": ask.run, "stage": ask.stage, "pull request": ask.number, "commit": ask.sha}
    return Nothing(
        reason=reason,
        rule=Decided.ASKED,
        values={"asked for": ask.verb, "by": ask.by, **{name: it for name, it in about.items() if it}},
        flips=_ASKED_OTHERWISE.get(ask.verb, ("somebody who may write to the repository asked for it",)),
    )


def signed(secrets: tuple[bytes, ...], body: bytes, signature: str) -> bool:
    """Whether one of the secrets made the signature over the raw body, compared in constant time.

    Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    """
    given = signature.encode("utf-8", "replace")
    return any(hmac.compare_digest(sign(secret, body).encode(), given) for secret in secrets)


def sign(secret: bytes, body: bytes) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def _refusal(status: int, message: str, hint: str) -> Answer:
    return Answer(status, {"error": message, "hint": hint})
