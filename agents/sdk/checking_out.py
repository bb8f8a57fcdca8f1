"""The checkout of an attempt: the exact commit from the mirror, and what the pipeline file asks for besides."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agents.sdk import disk
from agents.sdk.channel import Begin
from agents.sdk.readiness import Readiness
from turnout.adapters.git_command import Credential
from turnout.adapters.git_extras import Extras
from turnout.adapters.mirror import Mirrors
from turnout.core.errors import TransientError

Answer = TypeVar("Answer")


def check_out(begin: Begin, tree: Path, ready: Readiness, say: Callable[[str], None]) -> tuple[Path, ...]:
    """The folders of git's objects, which tools need to see.

    Raises: TransientError when the remote stays away: that is nobody's code's fault; PermanentError.
    """
    wanted, given = begin.task.checkout, begin.credential
    credential = Credential(given.password, given.username) if given else None
    mirrors = Mirrors(begin.home)
    mirror = mirrors.of(wanted.clone_url, credential)
    shallow = begin.shallow and not wanted.options.history
    began = time.monotonic()
    fetched = _patiently(lambda: mirror.ensure(wanted.sha, wanted.ref, shallow=shallow), begin, say)
    if ready.move_tree(mirror, wanted.sha, tree):
        how = "took the checkout that was ready"
    else:
        mirror.checkout(wanted.sha, tree)
        how = "fetched and checked out" if fetched else "checked out"
    took = (time.monotonic() - began) * 1000
    ready.again = (mirror, wanted.sha, took / 1000)
    alone = ", without its history" if shallow else ""
    say(f"{how} {wanted.repository} at {wanted.sha[:12]}{alone} in {took:.0f} ms")
    extras = Extras(
        mirrors,
        mirror,
        wanted.options,
        begin.task.trusted,
        disk.limit(os.environ),
        say,
        lambda work: _patiently(work, begin, say),
    )
    extras.add(wanted.sha, tree)
    return (mirror.objects, *extras.objects)


def _patiently(work: Callable[[], Answer], begin: Begin, say: Callable[[str], None]) -> Answer:
    for pause in begin.fetch_again:
        try:
            return work()
        except TransientError as error:
            say(f"{error}; again in {pause:g} s")
            time.sleep(pause)
    return work()
