"""A job behind the gateway, whose files go straight into a bucket, by addresses that are signed for them alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.system import System
from tests.functions.test_gateway_end_to_end import SETTINGS, push
from tests.object_stores import like_s3
from turnout.adapters.artifacts_s3 import open_s3
from turnout.core.artifact_keys import attempt_key
from turnout.core.model import Outcome


@pytest.mark.real
def test_a_push_leaves_its_log_and_its_files_in_the_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "turnout",
        "AWS_SECRET_ACCESS_KEY": "known to the gateway alone",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with like_s3(tmp_path / "s3.log") as port:
        endpoint = f"http://127.0.0.1:{port}"
        bucket = open_s3("artifacts", endpoint)
        bucket._client.create_bucket(Bucket="artifacts")
        settings = {"TURNOUT_ARTIFACTS": "s3://artifacts/ci", "TURNOUT_ARTIFACTS_ENDPOINT": endpoint}
        with System(tmp_path, SETTINGS | settings) as system:
            run = push(
                system, "echo it knows ${AWS_SECRET_ACCESS_KEY-nothing}; mkdir -p out; echo kept > out/a.txt"
            )
            (ended,) = system.wait_for([run])
            assert ended.outcome is Outcome.SUCCESS, ended.reason
            artifacts = system.wiring.artifacts
            assert "it knows nothing\n" in artifacts.get(attempt_key(run, "only", 1)).decode()
            (task,) = ended.stages["only"].tasks.values()
            assert task.attempts[0].result is not None
            (file,) = task.attempts[0].result.artifacts
            assert artifacts.get(file.key) == b"kept\n"
            assert not (system.wiring.settings.home / "artifacts").exists()
        names = [name for name, _ in bucket.names("")]
    assert f"ci/files/{file.key}" in names
    assert all(each.startswith(("ci/files/", "ci/logs/")) for each in names)
    put = re.findall(r'"PUT (\S+/a\.txt\S*) HTTP/1.." (\d+)', (tmp_path / "s3.log").read_text())
    assert [(re.findall("X-Amz-Signature", url), status) for url, status in put] == [
        (["X-Amz-Signature"], "200")
    ]
