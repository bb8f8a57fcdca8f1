"""What Celery's workers run; ``CELERY_REDIS`` names the server."""

from __future__ import annotations

import os

from celery import Celery

from tests.peers.drivers.talking import command

REDIS = os.environ["CELERY_REDIS"]
app = Celery("side_by_side", broker=f"{REDIS}/0", backend=f"{REDIS}/1")
app.conf.broker_connection_retry_on_startup = True


@app.task  # type: ignore[untyped-decorator]  # celery is not installed where types are checked
def stage() -> int:
    return command()
