"""Files for one tool alone: handed over in its environment, written by a shell that then becomes the tool.

So what is in them is on no command line, in no folder that another tool sees, and gone with the tool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from agents.sdk.workspace import AgentError

LARGEST = 120_000  # bytes; the kernel takes no variable of more than 128 KiB
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,60}")


def with_files(argv: Sequence[str], files: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command that writes the files and becomes the tool, and what it needs of environment.

    ``files``: variable to text. Raises: AgentError for what no file can be given as.
    """
    steps = ["umask 077"]
    for name, text in files.items():
        if not _NAME.fullmatch(name):
            raise AgentError(f"{ascii(name)[:80]} cannot name a file of a tool")
        if "\0" in text or len(text.encode("utf-8", "surrogateescape")) > LARGEST:
            raise AgentError(f"{name}: a tool takes at most {LARGEST} bytes of text")
        place = f'"$HOME/.{name.lower()}"'
        steps.append(f'printf %s "${name}" >{place} && export {name}={place}')
    script = " && ".join([*steps, 'exec "$@"'])
    return ["/bin/sh", "-c", script, "sh", *argv], dict(files)
