"""Artifacts in S3 and in Cloud Storage, as servers of this machine that are not ours speak them."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from local.server_process import free_port
from tests.contracts.artifacts import ArtifactsContract
from tests.listening import Function, Say
from tests.object_stores import like_gcs, like_s3
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.artifacts_gcs import GcsBucket, open_gcs
from turnout.adapters.artifacts_objects import CHUNK, URL_GOOD_FOR, Bucket, ObjectArtifacts
from turnout.adapters.artifacts_s3 import S3Bucket, open_s3
from turnout.adapters.settings import read_settings
from turnout.core.errors import PermanentError, TransientError
from turnout.wiring import Wiring

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with like_s3(tmp_path_factory.mktemp("s3") / "log") as port:
        yield port


@pytest.fixture(scope="module")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    with like_gcs(tmp_path_factory.mktemp("gcs") / "log") as url:
        yield url


@pytest.fixture
def s3_bucket(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Bucket]:
    """Opened as AWS's own: every client that boto3 makes meanwhile is led to the server of this machine."""
    from pytest_localstack.session import RunningSession

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    session = RunningSession("127.0.0.1", services={"s3": s3_port}, region_name="eu-west-1")
    with session.botocore.patch_botocore():
        bucket = open_s3(f"turnout-{uuid.uuid4().hex}")
        bucket._client.create_bucket(
            Bucket=bucket._bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield bucket


@pytest.fixture
def gcs_bucket(gcs: str) -> GcsBucket:
    bucket = open_gcs(f"turnout-{uuid.uuid4().hex}", gcs)
    bucket._client.create_bucket(bucket._bucket)
    return bucket


class StoreContract(ArtifactsContract):
    writers = 3
    pieces = 6

    @pytest.fixture
    def bucket(self) -> Bucket:
        raise NotImplementedError("the subclass gives the bucket")

    @pytest.fixture
    def artifacts(self, bucket: Bucket) -> ObjectArtifacts:
        return ObjectArtifacts(bucket, "of/turnout")

    def test_an_object_is_made_once_and_keeps_its_mark(self, bucket: Bucket) -> None:
        assert bucket.mark("x") == ""
        assert bucket.make("x", b"first", "mine")
        assert not bucket.make("x", b"second", "yours")
        assert (bucket.read("x", 0, -1), bucket.mark("x")) == (b"first", "mine")

    def test_more_than_one_page_is_listed(self, bucket: Bucket) -> None:
        names = [f"a/{number}" for number in range(7)]
        for name in names:
            bucket.put(name, name.encode(), "text/plain")
        assert list(bucket.names("a/", page=2)) == [(name, 3) for name in names]
        later = [name for name, _ in bucket.names("a/", after="a/3", page=2)]
        assert later in (names[3:], names[4:])

    def test_a_large_stream_comes_whole_or_not_at_all(self, artifacts: ObjectArtifacts) -> None:
        piece = bytes(range(256)) * 4096
        count = 2 * CHUNK // len(piece) + 1
        digest = hashlib.sha256(piece * count).hexdigest()
        for key, sent in (("short", count - 1), ("whole", count)):
            announced = {"size": count * len(piece), "sha256": digest, "media_type": "text/plain"}
            if sent < count:
                with pytest.raises(PermanentError, match="not what was announced"):
                    artifacts.put_stream(key, [piece] * sent, **announced)  # type: ignore[arg-type]
            else:
                artifacts.put_stream(key, [piece] * sent, **announced)  # type: ignore[arg-type]
        assert list(artifacts.list("")) == ["whole"]
        assert hashlib.sha256(artifacts.get("whole")).hexdigest() == digest
        assert artifacts.part("whole", len(piece) - 2, 4) == b"\xfe\xff\x00\x01"

    def test_a_bucket_that_is_missing_is_said_and_can_be_mended(self, bucket: Any) -> None:
        bucket._bucket = bucket._client.bucket("none") if isinstance(bucket, GcsBucket) else "none-such"
        artifacts = ObjectArtifacts(bucket)
        for ask in (
            lambda: artifacts.put("x", b""),
            lambda: artifacts.append("x", b"1"),
            lambda: artifacts.get("x"),
            lambda: list(artifacts.list("")),
        ):
            with pytest.raises(TransientError, match="let this account read, write and list the bucket"):
                ask()


class TestS3Artifacts(StoreContract):
    @pytest.fixture
    def bucket(self, s3_bucket: S3Bucket) -> S3Bucket:
        return s3_bucket

    def test_an_address_holds_for_one_content_and_takes_it(self, bucket: S3Bucket) -> None:
        content = b"<xml/>"
        digest = hashlib.sha256(content).hexdigest()
        artifacts = ObjectArtifacts(bucket, "p")
        to = artifacts.upload_url("a/x y.xml", size=6, sha256=digest, media_type="application/xml")
        assert to is not None
        query = parse_qs(urlsplit(to.url).query)
        assert query["X-Amz-SignedHeaders"] == ["content-length;content-type;host;x-amz-checksum-sha256"]
        assert query["X-Amz-Expires"] == [str(URL_GOOD_FOR)]
        assert httpx.put(to.url, content=content, headers=dict(to.headers)).status_code == 200
        assert artifacts.get("a/x y.xml") == content

    def test_a_store_that_speaks_like_it_is_reached_at_its_own_address(
        self, bucket: S3Bucket, s3_port: int
    ) -> None:
        bucket.put("x", b"1", "text/plain")
        assert open_s3(bucket._bucket, f"http://127.0.0.1:{s3_port}").read("x", 0, -1) == b"1"


class TestGcsArtifacts(StoreContract):
    @pytest.fixture
    def bucket(self, gcs_bucket: GcsBucket) -> GcsBucket:
        return gcs_bucket

    def test_an_address_holds_for_one_content_and_takes_it(self, bucket: GcsBucket) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        from google.oauth2.service_account import Credentials

        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        known = {
            "client_email": "turnout@p.iam",
            "token_uri": "http://127.0.0.1:9",
            "private_key": key.decode(),
        }
        signer = Credentials.from_service_account_info(known)  # type: ignore[no-untyped-call]
        artifacts = ObjectArtifacts(GcsBucket(bucket._client, bucket._bucket.name, signer), "p")
        content = b"<xml/>"
        digest = hashlib.sha256(content).hexdigest()
        to = artifacts.upload_url("a/x y.xml", size=6, sha256=digest, media_type="application/xml")
        assert to is not None
        query = parse_qs(urlsplit(to.url).query)
        signed = "content-type;host;x-goog-content-length-range;x-goog-content-sha256"
        assert (query["X-Goog-SignedHeaders"], query["X-Goog-Expires"]) == ([signed], [str(URL_GOOD_FOR)])
        assert to.headers["x-goog-content-length-range"] == "6,6"
        assert to.headers["x-goog-content-sha256"] == digest
        assert httpx.put(to.url, content=content, headers=dict(to.headers)).status_code == 200
        assert artifacts.get("a/x y.xml") == content


def persons_credentials() -> Any:
    from google.oauth2.credentials import Credentials

    return Credentials("token")  # type: ignore[no-untyped-call]


def test_where_nothing_can_be_signed_there_is_no_address(gcs_bucket: GcsBucket) -> None:
    bucket = GcsBucket(gcs_bucket._client, "b", persons_credentials())
    for each in (gcs_bucket, bucket, bucket):
        assert each.upload_url("x", size=1, sha256="00" * 32, media_type="text/plain") is None


@pytest.mark.parametrize("allowed", [True, False])
def test_for_a_machine_without_a_key_iam_signs_where_it_may(
    gcs_bucket: GcsBucket, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    token = persons_credentials()
    token.service_account_email = "turnout@p.iam"  # as a machine of Google's has it
    bucket = GcsBucket(gcs_bucket._client, "b", token)
    signed = json.dumps({"signedBlob": base64.b64encode(b"signature").decode()}).encode()
    with Function(lambda _: Say(200, signed) if allowed else Say(403, b"{}")) as iam:
        monkeypatch.setattr("google.auth.iam._IAM_SIGN_ENDPOINT", iam.url + "{}:signBlob")
        found = [bucket.upload_url("x", size=1, sha256="00" * 32, media_type="text/plain") for _ in range(2)]
    if allowed:
        assert all(to and to.url.endswith(f"X-Goog-Signature={b'signature'.hex()}") for to in found)
    else:
        assert found == [None, None]
    assert [each.path for each in iam.requests] == ["/turnout@p.iam:signBlob"] * (2 if allowed else 1)
    assert iam.requests[0].headers["authorization"] == "Bearer token"


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_the_setting_names_store_bucket_and_prefix(
    kind: str, s3_bucket: S3Bucket, s3_port: int, gcs_bucket: GcsBucket, gcs: str, tmp_path: Path
) -> None:
    name = s3_bucket._bucket if kind == "s3" else gcs_bucket._bucket.name
    given = {
        "TURNOUT_HOME": str(tmp_path),
        "TURNOUT_ARTIFACTS": f"{kind}://{name}/ci/turnout/",
        "TURNOUT_ARTIFACTS_ENDPOINT": f"http://127.0.0.1:{s3_port}" if kind == "s3" else gcs,
    }
    Wiring(read_settings(given)).artifacts.put("a/x", b"content")
    bucket: Bucket = s3_bucket if kind == "s3" else gcs_bucket
    assert bucket.read("ci/turnout/files/a/x", 0, -1) == b"content"
    del given["TURNOUT_ARTIFACTS"]
    assert isinstance(Wiring(read_settings(given)).artifacts, FileArtifacts)


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_store_that_is_away_can_be_tried_again(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr("turnout.adapters.artifacts_gcs._PATIENCE", 0.5)
    nobody = f"http://127.0.0.1:{free_port()}"
    bucket: Bucket = open_s3("b", nobody) if kind == "s3" else open_gcs("b", nobody)
    with pytest.raises(TransientError):
        ObjectArtifacts(bucket).put("x", b"1")
