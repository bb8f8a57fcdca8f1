"""What a pull request would change of the pipeline file, as GitHub shows it in the check of its run. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from turnout.core.proposal import Proposal
from turnout.core.run import Run
from turnout.reporting import markdown as md

SHOWN = 20


def proposed(run: Run, proposal: Proposal) -> Iterator[str]:
    """What differs of ``on``, of plans and of recorded changes, each a part of Markdown."""
    change = run.change
    which = "the base branch's file runs, this one is only compared" if change.fork else "this run uses it"
    title = f"**The pull request changes {md.code(proposal.file)}** ({which})"
    if proposal.problem:
        problems = [f"- {md.code(each, 500)}" for each in proposal.problem.splitlines()]
        yield "\n".join([f"{title}, and its file is not valid:", "", *problems])
        return
    yield title
    if proposal.triggers:
        yield "\n".join(["What starts runs:", "", *(f"- {md.code(each, 250)}" for each in proposal.triggers)])
    told = (
        ("For this pull request", proposal.here),
        (f"For a push to {md.code(change.base_branch)}", proposal.merged),
    )
    for title, difference in told:
        if difference:
            yield f"{title}:\n\n{difference.markdown(SHOWN)}"
    if proposal.looked:
        yield f"Tried on what is recorded: {proposal.replayed}"
