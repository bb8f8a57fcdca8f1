"""What a tool prints while it knows secrets: cut anywhere, what comes out is the same, and holds none of them."""

from __future__ import annotations

from agents.sdk.logs import LogStream
from agents.sdk.masking import MASK, Masker, forms
from tests.fuzz.doors import NOW
from turnout.core.messages import LogChunk


def log(content: bytes) -> None:
    """The first byte: how large the pieces are. Up to the first NUL: the secret. Then what is printed."""
    size = max(1, content[0] if content else 1)
    raw, _, printed = content[1:].partition(b"\0")
    secret = raw.decode("utf-8", "surrogateescape")
    masker = Masker({"TOKEN": secret})
    whole = masker.whole(printed)
    shown = (
        b"".join(masker.feed(printed[at : at + size]) for at in range(0, len(printed), size))
        + masker.finish()
    )
    assert shown == whole, "where a stream is cut, makes no difference"
    for form in forms(secret):
        for piece in whole.split(MASK):
            assert form not in piece
    _streamed(secret, printed, size)


def _streamed(secret: str, printed: bytes, size: int) -> None:
    chunks: list[str] = []
    stream = LogStream(Masker({"TOKEN": secret}), chunks.append, limit=2000)
    for at in range(0, len(printed), size):
        stream.write(printed[at : at + size])
    stream.line(printed.decode("utf-8", "surrogateescape"))
    stream.finish()
    for number, each in enumerate(chunks):
        chunk = LogChunk(run="r1", task="t", attempt="a1", sequence=number, at=NOW, text=each)
        assert LogChunk.model_validate_json(chunk.model_dump_json()) == chunk
