"""The `turnout` command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; errors of ours are told in one line, without a stack trace."""
    from turnout.core.errors import InvalidConfig, TurnoutError

    try:
        from turnout.cli.app import app

        app()
    except InvalidConfig as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.exit(1)
    except TurnoutError as error:
        if os.environ.get("TURNOUT_DEBUG"):
            raise
        sys.stderr.write(f"turnout: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
