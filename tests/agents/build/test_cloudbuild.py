"""Images built by Cloud Build, through Google's clients, against stand-ins of its API and of Cloud Storage's."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.cloud.devtools.cloudbuild_v1 import Build
from google.cloud.devtools.cloudbuild_v1 import types as cb

from agents.build import cloudbuild
from agents.build.asked import Asked, BuildFailed, Built
from agents.build.google_source import archive
from agents.build.naming import read_name
from agents.build.options import BuildOptions
from agents.build.registry_access import Access
from agents.sdk import operator_google as operator
from agents.sdk.stopping import Stopped, Stopping
from agents.sdk.workspace import AgentError, Answer
from local.google.cloud_build import PARENT, CloudBuild, substituted
from local.google.cloud_storage import CloudStorage
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.errors import PermanentError, TransientError
from turnout.core.plan import Resources

BUCKET = "shop-ci-builds"
BUILDER = "projects/shop-ci/serviceAccounts/builder@shop-ci.iam.gserviceaccount.com"
IMAGE = "europe-docker.pkg.dev/shop-ci/images/shop"
DIGEST = "sha256:" + "a" * 64
FILES = {
    "Dockerfile": "FROM scratch\nCOPY src /src\n",
    "src/shop.py": "print('shop')\n",
    "run.sh": "#!/bin/sh\n",
}


class StoppableWorkspace(PlainWorkspace):
    """As the real one, it undoes what can be undone where the attempt is stopped."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stopping = Stopping(1.0)

    def undoable(self, work: Any, undo: Any, seconds: float) -> Answer:  # type: ignore[type-var]
        return self.stopping.undoable(work, undo, seconds)  # type: ignore[no-any-return]


@dataclass
class Yard:
    """``steps``: what happens to the build, one each time that it is looked at."""

    workspace: StoppableWorkspace
    storage: CloudStorage
    cloud: CloudBuild
    steps: list[Any] = field(default_factory=list)

    def log(self, build: cb.Build, text: str) -> None:
        place = (BUCKET, f"logs/log-{build.id}.txt")
        before = self.storage.objects[place].content if place in self.storage.objects else b""
        self.storage.put(*place, before + text.encode())

    def pushed(self, build: cb.Build) -> None:
        build.results = cb.Results(images=[cb.BuiltImage(name=each, digest=DIGEST) for each in build.images])
        self.cloud.over(build, "SUCCESS")

    def asked(self, options: Mapping[str, Any] | None = None, **more: Any) -> Asked:
        name = read_name(IMAGE) if more.pop("push", True) else None
        return Asked(
            task=task("build", attempt="attempt-7", secrets=("GOOGLE_CREDENTIALS",), **more),
            options=BuildOptions.model_validate(options or {}),
            context=".",
            dockerfile="Dockerfile",
            tags=("1" * 12, "main"),
            labels={"org.opencontainers.image.revision": "1" * 40},
            committed=1_700_000_000,
            access=Access(),
            name=name,
        )

    def build(self, asked: Asked | None = None) -> Built:
        return cloudbuild.build(self.workspace, asked or self.asked())

    @property
    def made(self) -> cb.Build:
        (found,) = self.cloud.builds.values()
        return found


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    storage = CloudStorage(BUCKET)
    workspace = StoppableWorkspace(tmp_path)
    write(workspace.path, FILES)
    (workspace.path / ".git").mkdir()
    (workspace.path / ".git" / "config").write_text("[remote]\nurl = https://secret@git.example.org\n")
    (workspace.path / "run.sh").chmod(0o755)
    (workspace.path / "link").symlink_to("src/shop.py")
    with CloudBuild(storage.answer) as cloud:
        yard = Yard(workspace, storage, cloud)
        yard.steps = [yard.pushed]
        cloud.looked = lambda build: yard.steps.pop(0)(build) if yard.steps else None
        for name, value in {
            operator.PARENT: PARENT,
            operator.BUCKET: BUCKET,
            operator.BUILDER: BUILDER,
            operator.ENDPOINT: cloud.url,
            operator.STORAGE_ENDPOINT: cloud.url,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(cloudbuild, "pause", lambda _: workspace.stopping.check())
        monkeypatch.setattr(
            cloudbuild, "_credentials", lambda *_: (None, "shop-ci")
        )  # of their own tests, below
        yield yard


real_credentials = cloudbuild._credentials


# --- what is asked ----------------------------------------------------------------------------------


def test_an_image_is_built_there_from_the_commits_files_and_its_digest_is_what_was_pushed(yard: Yard) -> None:
    kept: dict[str, bytes] = {}
    yard.steps.insert(
        0,
        lambda build: kept.update(
            source=yard.storage.objects[
                (build.source.storage_source.bucket, build.source.storage_source.object_)
            ].content
        ),
    )
    built = yard.build()
    assert built.digest == DIGEST
    assert built.tools == {"cloudbuild": yard.made.name}
    assert list(yard.made.images) == [f"{IMAGE}:{'1' * 12}", f"{IMAGE}:main"]
    assert list(yard.made.tags) == ["attempt-attempt-7", "turnout-image"]
    assert yard.made.service_account == BUILDER
    with tarfile.open(fileobj=io.BytesIO(kept["source"])) as tar:
        members = {each.name: each for each in tar.getmembers()}
        assert set(members) == {"Dockerfile", "link", "run.sh", "src", "src/shop.py"}
        assert members["link"].linkname == "src/shop.py"
        assert {each.mtime for each in members.values()} == {1_700_000_000}
        assert members["run.sh"].mode == 0o755
        assert members["Dockerfile"].mode == 0o644


def test_the_source_is_named_to_the_generation_and_does_not_stay(yard: Yard) -> None:
    yard.build()
    source = yard.made.source.storage_source
    assert (source.bucket, source.object_) == (BUCKET, "source/attempt-7.tar.gz")
    assert source.generation > 0
    assert not [name for _, name in yard.storage.objects if name.startswith("source/")]


def test_the_same_commit_gives_the_same_archive(yard: Yard, tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    archive(yard.workspace.path, first, 1_700_000_000)
    (yard.workspace.path / "Dockerfile").touch()
    (yard.workspace.path / "Dockerfile").chmod(0o600)
    archive(yard.workspace.path, second, 1_700_000_000)
    assert first.read_bytes() == second.read_bytes()


def test_a_commit_that_is_too_large_is_refused(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.build.google_source.LARGEST", 10)
    with pytest.raises(AgentError, match="the commit's files have more than"):
        yard.build()
    assert not yard.cloud.builds


def test_a_large_archive_is_uploaded_in_pieces(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("google.cloud.storage.blob._MAX_MULTIPART_SIZE", 64)
    assert yard.build().digest == DIGEST


def test_options_become_arguments_in_which_nothing_is_replaced(yard: Yard) -> None:
    asked = yard.asked(
        {
            "build_args": {"PRICE": "$PROJECT_ID and $$"},
            "target": "slim",
            "cache": "registry.example.org/cache",
        },
        network=True,
    )
    yard.build(asked)
    (step,) = yard.made.steps
    words = [substituted(each) for each in step.args]
    assert words == cloudbuild.arguments(asked)
    for pair in (
        ["--build-arg", "PRICE=$PROJECT_ID and $$"],
        ["--target", "slim"],
        ["--cache-from", "registry.example.org/cache:main"],
        ["--label", f"org.opencontainers.image.revision={'1' * 40}"],
        ["--build-arg", "SOURCE_DATE_EPOCH=1700000000"],
        ["--tag", f"{IMAGE}:main"],
    ):
        at = [index for index, word in enumerate(words) if word == pair[1]]
        assert any(words[index - 1] == pair[0] for index in at), pair
    assert "--network" not in words
    assert words[-2:] == ["--", "."]


def test_without_a_network_of_the_stage_the_steps_have_none(yard: Yard) -> None:
    words = cloudbuild.arguments(yard.asked({"cache": False}))
    assert words[words.index("--network") + 1] == "none"
    assert "--no-cache" in words


def test_an_image_that_is_not_pushed_has_no_name_and_no_digest(yard: Yard) -> None:
    assert yard.build(yard.asked(push=False)).digest == ""
    assert not yard.made.images


def test_the_machine_is_as_large_as_the_stage_asks(yard: Yard) -> None:
    yard.build(yard.asked(resources=Resources(cpu=8)))
    assert yard.made.options.machine_type == cb.BuildOptions.MachineType.E2_HIGHCPU_8


# --- while it is under way --------------------------------------------------------------------------


def test_its_log_is_told_as_it_comes_line_by_line(yard: Yard) -> None:
    def last(build: cb.Build) -> None:
        yard.log(build, "the end")
        yard.pushed(build)

    yard.steps = [
        lambda build: yard.log(build, "Step 1/2 : FROM scr"),
        lambda build: yard.log(build, "atch\nStep 2/2 : COPY\n"),
        lambda build: None,
        last,
    ]
    yard.build()
    assert yard.workspace.lines[-3:] == ["Step 1/2 : FROM scratch", "Step 2/2 : COPY", "the end"]


def test_a_build_that_was_made_without_an_answer_is_found_by_its_tag(yard: Yard) -> None:
    yard.cloud.rest.fail("CreateBuild", 503, after=True)
    assert yard.build().digest == DIGEST
    assert len(yard.cloud.builds) == 1


def test_a_build_of_this_attempt_that_is_there_already_is_followed(yard: Yard) -> None:
    yard.cloud.rest.fail("CreateBuild", 504, after=True)
    yard.cloud.rest.fail("ListBuilds", 500)
    with pytest.raises(TransientError):
        yard.build()
    assert yard.build().digest == DIGEST
    assert len(yard.cloud.builds) == 1


def test_a_service_that_is_away_for_a_moment_is_asked_again(yard: Yard) -> None:
    yard.cloud.rest.fail("GetBuild", 503, times=3)
    assert yard.build().digest == DIGEST


def test_a_service_that_stays_away_is_given_up(yard: Yard) -> None:
    yard.cloud.rest.fail("GetBuild", 503, times=10_000)
    with pytest.raises(TransientError, match="503"):
        yard.build()


def test_a_cancelled_attempt_cancels_its_build_and_leaves_no_source(yard: Yard) -> None:
    yard.steps = [lambda build: yard.workspace.stopping.request("cancelled", "by ann")]
    with pytest.raises(Stopped):
        yard.build()
    assert yard.made.status == Build.Status.CANCELLED
    assert yard.workspace.stopping.undone == f"{yard.made.name} was cancelled"
    assert not yard.storage.objects


def test_quota_that_is_used_up_makes_no_build_and_is_tried_again(yard: Yard) -> None:
    yard.cloud.rest.fail("CreateBuild", 429)
    with pytest.raises(TransientError, match="quota"):
        yard.build()
    assert not yard.cloud.builds


def test_a_missing_right_says_which_roles_are_needed(yard: Yard) -> None:
    yard.cloud.rest.fail("CreateBuild", 403)
    with pytest.raises(PermanentError, match=r"roles/cloudbuild\.builds\.editor"):
        yard.build()


def test_a_bucket_that_refuses_says_which_role_is_needed(yard: Yard) -> None:
    yard.storage.refuses = 403
    with pytest.raises(PermanentError, match=r"roles/storage\.objectAdmin"):
        yard.build()
    yard.storage.refuses = 503
    with pytest.raises(TransientError):
        yard.build()


# --- how it ends ------------------------------------------------------------------------------------


def failed(yard: Yard, status: str, kind: str = "", code: int = 0) -> None:
    def end(build: cb.Build) -> None:
        yard.cloud.over(build, status, code=code, detail="it says why")
        if kind:
            build.failure_info = cb.Build.FailureInfo(type_=kind, detail="it says why")

    yard.steps = [end]
    yard.build()


def test_a_step_of_the_dockerfile_that_fails_is_the_codes_fault(yard: Yard) -> None:
    with pytest.raises(BuildFailed, match="step build ended with status 1: it says why"):
        failed(yard, "FAILURE", code=1)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        ("FAILURE", "PUSH_NOT_AUTHORIZED", "TURNOUT_CLOUDBUILD_BUILDER write to the registry"),
        ("FAILURE", "FETCH_SOURCE_FAILED", "fetch source failed"),
        ("TIMEOUT", "", "longer than its time"),
        ("CANCELLED", "", "it was cancelled"),
    ],
)
def test_what_is_not_the_codes_fault_is_an_error(yard: Yard, status: str, kind: str, said: str) -> None:
    with pytest.raises(AgentError, match=said):
        failed(yard, status, kind)


@pytest.mark.parametrize("status", ["INTERNAL_ERROR", "EXPIRED"])
def test_what_may_pass_is_tried_again(yard: Yard, status: str) -> None:
    with pytest.raises(TransientError, match="it says why"):
        failed(yard, status)


def test_tags_that_were_pushed_as_different_images_are_an_error(yard: Yard) -> None:
    def two(build: cb.Build) -> None:
        yard.pushed(build)
        build.results.images[0].digest = "sha256:" + "b" * 64

    yard.steps = [two]
    with pytest.raises(AgentError, match="pushed"):
        yard.build()


def test_a_build_that_says_nothing_of_what_it_pushed_is_an_error(yard: Yard) -> None:
    yard.steps = [lambda build: yard.cloud.over(build, "SUCCESS")]
    with pytest.raises(AgentError, match="nothing"):
        yard.build()


# --- who asks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [operator.PARENT, operator.BUCKET, operator.BUILDER])
def test_without_its_settings_it_is_not_there(yard: Yard, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert cloudbuild.missing(yard.asked()) == ""
    monkeypatch.delenv(name)
    assert name in cloudbuild.missing(yard.asked())


def test_without_googles_clients_it_says_what_to_install(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudbuild, "_installed", lambda module: "storage" not in module)
    assert "pip install" in cloudbuild.missing(yard.asked())
    monkeypatch.undo()
    assert not cloudbuild._installed("google.cloud.nothing_like_this.v1")


def test_another_platform_is_not_built(yard: Yard) -> None:
    assert "linux/amd64 only" in cloudbuild.missing(yard.asked({"platforms": ["linux/arm64"]}))


def test_the_agents_own_identity_is_used_only_where_its_operator_says_so_and_never_for_a_fork(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = yard.asked()
    without = Asked(**{
        **{name: getattr(asked, name) for name in Asked.__slots__}, "task": asked.task.with_(secrets=())
    })  # fmt: skip
    assert operator.OWN_IDENTITY in cloudbuild.missing(without)
    monkeypatch.setenv(operator.OWN_IDENTITY, "yes")
    assert cloudbuild.missing(without) == ""
    fork = Asked(**{
        **{name: getattr(without, name) for name in Asked.__slots__},
        "task": without.task.with_(trusted=False),
    })  # fmt: skip
    assert "fork" in cloudbuild.missing(fork)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("", "is empty"),
        ("no json", "cannot be used"),
        ("[]", "expected service_account or"),
        (json.dumps({"type": "authorized_user"}), "'authorized_user', expected service_account"),
        (
            json.dumps({"type": "external_account", "credential_source": {"executable": {"command": "x"}}}),
            "expected service_account or",
        ),
        (json.dumps({"type": "external_account"}), "credential_source"),
        (json.dumps({"type": "service_account", "private_key": "half a key"}), "cannot be used"),
    ],
)
def test_a_secret_that_is_no_credential_is_refused_without_being_shown(
    yard: Yard, secret: str, said: str
) -> None:
    yard.workspace.given = {"GOOGLE_CREDENTIALS": secret}
    with pytest.raises(AgentError, match=said) as refused:
        real_credentials(yard.workspace, yard.asked(), operator.google_settings())
    assert "half a key" not in str(refused.value)


def test_workload_identity_federation_can_ask(yard: Yard) -> None:
    content = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/turnout",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/run/token"},
    }
    yard.workspace.given = {"GOOGLE_CREDENTIALS": json.dumps(content)}
    found, _ = real_credentials(yard.workspace, yard.asked(), operator.google_settings())
    assert type(found).__module__ == "google.auth.identity_pool"


def test_a_key_among_the_secrets_is_who_asks_and_is_masked(yard: Yard) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 1024).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    content = {
        "type": "service_account",
        "client_email": "ci@shop-ci.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "token_uri": "https://oauth2.example.org/token",
    }
    yard.workspace.given = {"GOOGLE_CREDENTIALS": json.dumps(content)}
    found, project = real_credentials(yard.workspace, yard.asked(), operator.google_settings())
    assert found.service_account_email == "ci@shop-ci.iam.gserviceaccount.com"
    assert project == "shop-ci"
    assert yard.workspace.hidden == [key.decode()]
