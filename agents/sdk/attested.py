"""Whether an image may be deployed: what the environment of a task asks for, and what the statements in it prove."""

from __future__ import annotations

from agents.sdk.workspace import AgentError
from turnout.core.errors import PermanentError
from turnout.core.messages import TaskRequested

_HOW = "let the pipeline build and check it in this project, and name it by the digest that the build gives"


def require(task: TaskRequested, digest: str) -> list[str]:
    """Call it for every image before anything is applied; ``digest`` as ``sha256:…``, also after a name and an ``@``.

    What is proved, in lines for the log; none where the environment asks nothing. One statement that can't be believed
    spoils all: it may have been the one that says no.
    Raises: AgentError when the image is not attested as the environment wants.
    """
    asked = task.attested
    if asked is None:
        return []
    from turnout.adapters.signing import believe
    from turnout.core.attestation import image_digest
    from turnout.core.judging import judge

    where = f"environment {task.environment} asks for attested images" if task.environment else "attestation"
    try:
        wanted = image_digest(digest)
        believed = believe(asked.keys)
    except PermanentError as error:
        raise AgentError(f"{where}: {error.message}", error.hint or _HOW) from error
    proved, refused = believed.sort(asked.statements)
    verdict = judge(proved, wanted, asked.required, task.project)
    if not verdict.problems and not refused:
        return [f"attested: {line}" for line in verdict.lines]
    problems = [*verdict.problems, *dict.fromkeys(each.message for each in refused)]
    if asked.left_out:
        problems.append(f"{asked.left_out} statements did not fit into the task")
    raise AgentError(f"{where}: {'; '.join(problems)}", _HOW)
