"""What opens a function that Cloud Run closes to all but certain accounts: an identity token of ours.

It is made for the function's address without a path, and shown in ``X-Serverless-Authorization``, so that
``Authorization`` stays with the function itself.
Source: https://cloud.google.com/run/docs/authenticating/service-to-service
"""

from __future__ import annotations

from collections.abc import Mapping

from turnout.adapters.google_metadata import Metadata, metadata
from turnout.adapters.http_poster import split_url

HEADER = "x-serverless-authorization"


def identified(url: str, tokens: Metadata | None = None) -> Mapping[str, str]:
    """Headers for a request to this address. Raises: TransientError without a token, PermanentError (no address)."""
    split = split_url(url)
    token = (tokens or metadata()).identity_token(f"{split.scheme}://{split.netloc}")
    return {HEADER: f"Bearer {token}"}
