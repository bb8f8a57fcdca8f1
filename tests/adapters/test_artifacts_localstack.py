"""Artifacts in LocalStack's S3: `.venv/bin/pytest -m localstack`, for who has it. CI has moto instead.

In a container of a Docker Engine that can pull it, or as it runs already at LOCALSTACK=HOST:PORT.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.adapters.test_artifacts_stores_real import StoreContract
from tests.real import require
from turnout.adapters.artifacts_s3 import S3Bucket, open_s3

pytestmark = pytest.mark.localstack


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """Of pytest-localstack."""
    from pytest_localstack.session import LocalstackSession, RunningSession

    if there := os.environ.get("LOCALSTACK"):
        host, _, port = there.rpartition(":")
        yield RunningSession(host, services={"s3": int(port)}, region_name="eu-west-1")
        return
    import docker

    try:
        engine = docker.from_env()
    except docker.errors.DockerException as error:
        require(
            "a Docker Engine",
            False,
            f"start one, or name a LocalStack that runs: LOCALSTACK=HOST:PORT ({error})",
        )
        return
    made = LocalstackSession(engine, services=["s3"], region_name="eu-west-1")
    with made:
        yield made


@pytest.fixture
def bucket(session: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Bucket]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with session.botocore.patch_botocore():
        made = open_s3(f"turnout-{uuid.uuid4().hex}")
        made._client.create_bucket(
            Bucket=made._bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield made


class TestLocalstackArtifacts(StoreContract):
    @pytest.fixture
    def bucket(self, bucket: S3Bucket) -> S3Bucket:
        return bucket
