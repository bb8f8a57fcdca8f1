"""What a deploy would change, in the log before it changes anything."""

from __future__ import annotations

import re
from pathlib import Path

from agents.deploy.cluster import WRITE, Cluster
from agents.deploy.complaints import Refused, complaint, last_words
from turnout.core.result import Artifact

MOST_LINES = 400
"""Of the diff, in the log; all of it is an artifact."""


def show(cluster: Cluster, manifests: Path, manager: str, *, force: bool) -> str:
    """Log it, and give it back; empty: nothing would change. Secrets' values are masked, by kubectl.

    kubectl's exit codes: 0 no difference, 1 some, more than 1: it could not be found out.
    Raises: Refused for what the server does not take; AgentError, TransientError.
    """
    ran = cluster.kubectl(
        "diff",
        "--server-side",
        f"--field-manager={manager}",
        *(["--force-conflicts"] if force else []),
        "--filename",
        str(manifests),
        timeout=WRITE,
        accepted=(0, 1),
        checked=False,
    )
    said = ran.stderr.decode(errors="replace")
    if ran.code not in (0, 1) or (ran.code == 1 and not ran.stdout.strip() and said.strip()):
        return _unknown(cluster, said)
    text = plain(ran.stdout.decode(errors="replace"))
    lines = text.splitlines()
    cluster.workspace.log("what would change:" if lines else "nothing would change")
    for line in lines[:MOST_LINES]:
        cluster.workspace.log(f"  {line}")
    if len(lines) > MOST_LINES:
        cluster.workspace.log(f"  … and {len(lines) - MOST_LINES} more lines, in the artifact deploy.diff")
    return text


def _unknown(cluster: Cluster, said: str) -> str:
    words = last_words(said)
    match complaint(said):
        case "no namespace" | "unknown kind":
            cluster.workspace.log(f"what would change cannot be told before it is there: {words}")
            return ""
        case "conflict":
            raise Refused(
                f"fields of these objects belong to somebody else: {words}",
                "leave them out of the manifests, or take them with `with.kubectl.force_conflicts: true`",
            )
        case _:
            raise Refused(f"the cluster does not take it: {words}")


def plain(text: str) -> str:
    """Without the names of the folders that kubectl compares, which are others each time."""
    kept = [line for line in text.splitlines() if not line.startswith("diff -")]
    return "\n".join(
        re.sub(r"^(---|\+\+\+) \S*/(?:LIVE|MERGED)-\d+/(\S+).*$", r"\1 \2", line) for line in kept
    )


def artifacts(cluster: Cluster, diff: str, manifests: str) -> tuple[Artifact, ...]:
    kept = [cluster.workspace.artifact("manifests.yaml", manifests.encode(), "application/yaml")]
    if diff:
        kept.append(cluster.workspace.artifact("deploy.diff", (diff + "\n").encode(), "text/x-diff"))
    return tuple(kept)
