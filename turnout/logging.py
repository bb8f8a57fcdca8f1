"""How the parts log: one line an event, to standard error; for people on a terminal, JSON otherwise.

A traceback never shows the values of variables: they may be secrets.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal


@contextmanager
def _missing(*modules: str) -> Iterator[None]:
    """As if these were not installed."""
    held = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]  # None: the import system's word for it
    try:
        yield
    finally:
        for name, module in held.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


with _missing("rich", "better_exceptions"):
    # structlog would import them for tracebacks that show values: half of its time, and of a function's cold start
    import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _StandardError(io.StringIO):
    """Whatever standard error is when something is said, not what it was when logging was set up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def get_logger() -> Any:
    """A logger of structlog, for modules that functions import."""
    return structlog.get_logger()


def configure_logging(level: Literal["debug", "info", "warning", "error"] = "info") -> None:
    """Once a process, at its start."""
    people = sys.stderr.isatty()
    last = [
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if people
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    ]
    exceptions = [] if people else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(_StandardError()),
        cache_logger_on_first_use=True,
    )
