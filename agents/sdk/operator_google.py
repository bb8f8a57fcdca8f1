"""What whoever runs the agents says of Google Cloud, for builds of images there."""

from __future__ import annotations

import os
from collections.abc import Mapping

PARENT = "TURNOUT_CLOUDBUILD_PARENT"
"""Where it is built: ``projects/PROJECT/locations/REGION``."""
BUCKET = "TURNOUT_CLOUDBUILD_BUCKET"
"""The bucket that the commit's files go to, and the log comes from."""
BUILDER = "TURNOUT_CLOUDBUILD_BUILDER"
"""The account that builds and pushes: ``projects/PROJECT/serviceAccounts/NAME``."""
POOL = "TURNOUT_CLOUDBUILD_POOL"
"""A private worker pool, in full; empty: the shared one."""
OWN_IDENTITY = "TURNOUT_CLOUDBUILD_OWN_IDENTITY"
"""``yes``: a stage without credentials of its own uses those of the machine or container that the agent runs in."""
ENDPOINT = "TURNOUT_CLOUDBUILD_ENDPOINT"
STORAGE_ENDPOINT = "TURNOUT_CLOUDBUILD_STORAGE_ENDPOINT"
"""Addresses of the two APIs; empty: Google's own."""

GOOGLE_NAMES = (PARENT, BUCKET, BUILDER, POOL, OWN_IDENTITY, ENDPOINT, STORAGE_ENDPOINT)


def google_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Those that are set."""
    return {name: environ[name] for name in GOOGLE_NAMES if environ.get(name)}
