"""`turnout verify`, `turnout attestations`, `turnout attestation-key`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.markup import escape

from turnout.adapters.signing import Believed, believe
from turnout.adapters.signing import public_keys as read_public_keys
from turnout.cli.finding import open_store
from turnout.cli.reaching import reach
from turnout.cli.shown import console, print_json
from turnout.core.attestation import image_digest
from turnout.core.dsse import NotAttested, Signed, UnknownKey
from turnout.core.errors import PermanentError
from turnout.core.judging import Verdict, judge
from turnout.wiring import wiring

MAX_FILE = 64 * 1024 * 1024  # bytes


def verify(
    image: str, require: str, project: str, keys: Sequence[Path], file: Path | None, *, as_json: bool
) -> int:
    digest = _digest(image)
    believed = _believed(keys)
    if file is not None:
        envelopes = list(_envelopes(_read(file), str(file)))
    else:
        open_store()
        envelopes = [each.signed() for each in wiring().attesting.of_image(digest)]
    required = [each.strip() for each in require.split(",") if each.strip()]
    proved, refused = believed.sort(envelopes)
    verdict = judge(proved, digest, required, project)
    problems = (*verdict.problems, *_spoiled(refused, file is not None, verdict))
    if as_json:
        print_json(_as_json(verdict, problems))
    else:
        _print(verdict, problems)
    return 1 if problems else 0


def _digest(image: str) -> str:
    """What the image is named by, or what its tag points to now."""
    if "@" in image or image.startswith("sha256:"):
        return image_digest(image)
    from turnout.adapters.registry import registries

    return registries(os.environ).digest(image)


def export(given: str, stage: str) -> None:
    sight = reach().sight
    for each in sight.signed(sight.run(given).id, stage):
        print_json(each.to_json())


def public_keys() -> None:
    sys.stdout.write("".join(wiring().attesting.keys))


def _believed(files: Sequence[Path]) -> Believed:
    if not files:
        return believe(wiring().attesting.keys)
    return believe(pem for file in files for pem in read_public_keys(_read(file)))


def _spoiled(refused: Iterable[NotAttested], foreign: bool, verdict: Verdict) -> Iterator[str]:
    """What others have signed in a file is none of our business as long as enough is left; in our record it is."""
    for message, known in {each.message: not isinstance(each, UnknownKey) for each in refused}.items():
        if known or not foreign or verdict.problems:
            yield message


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            return sys.stdin.read(MAX_FILE)
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{file}: can't be read: {error}", "give the path of a text file") from error


def _envelopes(text: str, name: str) -> Iterator[Signed]:
    """One JSON value, or one a line. Lines that are no envelopes are passed over, as the format asks."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        found = [each for line in text.splitlines() if line.strip() for each in _one(line)]
    else:
        found = [
            each
            for value in (whole if isinstance(whole, list) else [whole])
            for each in _one(json.dumps(value))
        ]
    if not found:
        raise PermanentError(
            f"{name}: there is no signed envelope in it", "`turnout attestations RUN` writes them"
        )
    yield from found


def _one(text: str) -> Iterator[Signed]:
    try:
        yield Signed.model_validate_json(text)
    except ValidationError:
        return


def _as_json(verdict: Verdict, problems: Sequence[str]) -> dict[str, object]:
    return {
        "digest": verdict.digest,
        "verified": not problems,
        "problems": list(problems),
        "built": [each.to_json() for each in verdict.built],
        "passed": [each.to_json() for each in verdict.passed],
        "failed": [each.to_json() for each in verdict.failed],
    }


def _print(verdict: Verdict, problems: Sequence[str]) -> None:
    mark = "[red]✘[/]" if problems else "[green]✔[/]"
    for line in verdict.lines:
        console.print(f"{mark if line == verdict.lines[0] else ' '} {escape(line)}")
    for problem in problems:
        console.print(f"[red]✘[/] {escape(problem)}")
