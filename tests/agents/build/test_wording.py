"""What builders and registries say when something is wrong."""

from __future__ import annotations

import pytest

from agents.build.wording import LONGEST, Wrong, last_words, read_wrong, reason

BASE = "Error: creating build container: initializing source docker://r.example.org/b:1: "


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (
            BASE
            + 'pinging container registry r.example.org: Get "https://r/v2/": dial tcp: connection refused',
            Wrong.AWAY,
        ),
        (
            BASE + "reading manifest 1 in r.example.org/b: manifest unknown: manifest unknown",
            Wrong.UNKNOWN_IMAGE,
        ),
        (BASE + "unauthorized: authentication required", Wrong.REFUSED),
        (BASE + "http: server gave HTTP response to HTTPS client", Wrong.NO_TLS),
        (BASE + "x509: certificate signed by unknown authority", Wrong.NO_TLS),
        ("Error: writing blob: storing blob to file: write /x: no space left on device", Wrong.NO_ROOM),
        ("Error: pushing image: received unexpected HTTP status: 503 Service Unavailable", Wrong.AWAY),
        ('Error: building at STEP "RUN curl x": while running runtime: exit status 7', Wrong.THEIRS),
        (
            'Error: building at STEP "RUN echo connection refused": while running runtime: exit status 7',
            Wrong.THEIRS,
        ),
        (
            'Error: building at STEP "COPY a b": checking on sources: copier: stat: no such file or directory',
            Wrong.THEIRS,
        ),
        ("Error: dockerfile parse error line 2: unknown instruction: FLY", Wrong.THEIRS),
        ("Error: The command '/bin/sh -c exit 3' returned a non-zero code: 3", Wrong.THEIRS),
        ("Error: creating locker directory: read-only file system", Wrong.OTHER),
        ("", Wrong.OTHER),
    ],
)
def test_the_builders_words_say_whose_fault_it_is(said: str, wrong: Wrong) -> None:
    assert read_wrong(said.encode()) is wrong


def test_what_a_step_prints_is_not_the_builders_word() -> None:
    said = (
        b'Error: unauthorized\nerror: connection refused\nx\nError: building at STEP "RUN x": exit status 1\n'
    )
    assert read_wrong(said) is Wrong.THEIRS


def test_the_reason_is_one_short_line() -> None:
    assert reason(b"STEP 1\nError: it \x1b[31m broke\n") == "it ?[31m broke"
    assert len(reason(b"Error: " + b"x" * 9999)) <= LONGEST + 3
    assert (
        reason(b'Error: Patch "http://r/v2/uploads/1?_state=abc": EOF')
        == 'Patch "http://r/v2/uploads/1": EOF'
    )
    assert last_words(b"") == ""
