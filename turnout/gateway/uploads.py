"""An attempt's log and artifacts: where they are kept, how much of them, and that they are what was announced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnout.core.artifact_keys import LOG_NAME, attempt_key
from turnout.core.errors import NotFound, PermanentError
from turnout.core.ports import StoredArtifact, Uploads
from turnout.core.result import Result
from turnout.gateway.exchange import Announced
from turnout.gateway.limits import MAX_BASELINE, MAX_CHUNK, Limits
from turnout.gateway.refusals import Gap, TooLarge
from turnout.gateway.visits import Visit


@dataclass(frozen=True)
class Keeping:
    """Every visit here is its attempt's own: whoever calls has looked."""

    artifacts: Uploads
    limits: Limits

    # --- the log ----------------------------------------------------------------------------------

    def log_piece(self, offset: int, text: str) -> bytes:
        """Raises: TooLarge (a piece, or the whole)."""
        content = text.encode("utf-8", "replace")
        if len(content) > MAX_CHUNK:
            raise TooLarge(
                f"a piece of the log has {len(content)} bytes", f"send at most {MAX_CHUNK} at once"
            )
        if offset + len(content) > self.limits.log:
            raise TooLarge(f"the log is longer than {self.limits.log} bytes", "what is kept of it is enough")
        return content

    def append(self, visit: Visit, offset: int, content: bytes) -> int:
        """Bytes that are kept now; what was kept already is not kept again. Raises: Gap."""
        have = self.artifacts.append_at(_own(visit, LOG_NAME), offset, content)
        if have < offset:
            raise Gap(have)
        return have

    # --- artifacts --------------------------------------------------------------------------------

    def place(self, visit: Visit, file: Announced) -> str:
        """The key that ``file`` will have. Raises: TooLarge; PermanentError for a name that is none."""
        if _bad_name(file.name) or file.name == LOG_NAME:
            raise PermanentError(
                f"{file.name!r} is no name for an artifact", "use a relative path of plain names"
            )
        if file.size > self.limits.artifact:
            raise TooLarge(
                f"{file.name} has {file.size} bytes, at most {self.limits.artifact} are taken",
                "keep less, or raise TURNOUT_GATEWAY_ARTIFACT",
            )
        count, used = self.artifacts.usage(_own(visit))
        again = self.artifacts.size(_own(visit, file.name))
        if count >= self.limits.artifact_count and not again:
            raise TooLarge(f"the attempt has {count} artifacts", "put them into one archive")
        if used - again + file.size > self.limits.artifacts:
            raise TooLarge(
                f"with {file.name} the attempt's artifacts have more than {self.limits.artifacts} bytes",
                "keep less, or raise TURNOUT_GATEWAY_ARTIFACTS",
            )
        return _own(visit, file.name)

    def keep(self, key: str, file: Announced, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Raises: PermanentError when it is not what was announced."""
        kept: StoredArtifact = self.artifacts.put_stream(
            key, chunks, size=file.size, sha256=file.sha256, media_type=file.media_type
        )
        return {"key": kept.key, "size": kept.size, "sha256": kept.sha256}

    # --- the report that findings are compared with -------------------------------------------------

    def baseline(self, visit: Visit) -> str | None:
        """None: there is none, or one too large."""
        place = visit.request.baseline
        if place is None or self.artifacts.size(place.key) > MAX_BASELINE:
            return None
        try:
            return self.artifacts.get(place.key).decode("utf-8", "replace")
        except NotFound:
            return None

    def baseline_place(self, visit: Visit, file: Announced) -> str:
        """Raises: PermanentError where this task may not replace it; TooLarge."""
        task = visit.request
        if task.baseline is None or not task.baseline.keeps or not task.trusted:
            raise PermanentError("later findings are not compared with those of this task")
        if file.size > MAX_BASELINE:
            raise TooLarge(f"the report has {file.size} bytes, at most {MAX_BASELINE} are taken")
        return task.baseline.key


def check_artifacts(visit: Visit, result: Result) -> None:
    """Raises: PermanentError for artifacts that are not the attempt's own."""
    own = _own(visit)
    for each in result.artifacts:
        if not each.key.startswith(own) or _bad_name(each.key.removeprefix(own)):
            raise PermanentError(
                f"artifact {each.name!r} is not of this attempt", f"its key begins with {own}"
            )


def _own(visit: Visit, name: str = "") -> str:
    return attempt_key(visit.run.id, visit.task.id, visit.attempt.number, name)


def _bad_name(name: str) -> bool:
    parts = name.split("/")
    return not name.isprintable() or any(
        part in ("", ".", "..") or part.startswith(".incoming") or len(part.encode("utf-8", "replace")) > 255
        for part in parts
    )
