"""``make histories``: write down what is missing, and how all of them are explained now.

What stored events mean is never written anew: a history whose state has changed stays as it is, and fails its test.
"""

from __future__ import annotations

import sys

from tests.histories.kept import NEWEST, keep, kept
from tests.histories.stories import histories
from turnout.core import events as e
from turnout.core.explain import explain


def main() -> int:
    new = reworded = 0
    for name, history in histories():
        if not (NEWEST / f"{name}.jsonl").exists():
            keep(name, history)
            new += 1
    for each in kept():
        words = explain([e.load(line) for line in each.lines])
        if list(words) != each.said["explain"]:
            each.say(each.said["state"], words)
            reworded += 1
    print(f"{len(kept())} histories: {new} new, {reworded} explained in other words than before")
    return 0


if __name__ == "__main__":
    sys.exit(main())
