"""The operator's settings: environment variables, read once, checked all together.

Any secret may also be given as a file: ``TURNOUT_WEBHOOK_SECRET_FILE`` instead of ``TURNOUT_WEBHOOK_SECRET``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator

from turnout.core.errors import PermanentError
from turnout.core.events import Timing
from turnout.core.images import Images, read_images
from turnout.core.model import Runtime, Value
from turnout.core.topics import AGENT_KINDS, TAKEN, Topic, topics_with

PREFIX = "TURNOUT_"
POSTED = ("orchestrator", "launcher", "reporter", "sweeper")
"""The functions that the dispatcher calls."""
_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")
_AGENT = re.compile(r"[a-z][a-z0-9_-]{0,62}")
Seconds = Annotated[float, Field(gt=0, le=30 * 24 * 3600)]


class InvalidSettings(PermanentError):
    """What the operator has set can't be used: nothing works until it is mended, and then everything may."""


class Settings(Value):
    """One field a variable: ``TURNOUT_`` and the field's name in capitals. Durations are in seconds."""

    home: Path = Field(description="where state is kept")
    database_url: str = Field("", repr=False, description="SQLAlchemy URL; empty: SQLite under the home")
    database_password: SecretStr = Field(
        SecretStr(""), description="the database's, where the URL should not hold it"
    )
    database_identity: Literal["", "google"] = Field(
        "",
        description="google: an access token of the service account we run as is the database's password, a fresh one "
        "for each connection",
    )
    database_roles: str = Field(
        "",
        description="roles of the database that `turnout migrate` opens the tables to, separated by commas: part=role "
        "for what the part needs (webhook=…), a role alone for everything",
    )
    migrate: Literal["start", "job"] = Field(
        "start",
        description="who changes the database's tables: whatever starts first, or `turnout migrate` alone",
    )
    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field("FULL", description="FULL survives a power cut")
    artifacts: str = Field(
        "",
        pattern=r"^((gs|s3)://[a-z0-9][a-z0-9._-]{1,220}(/[A-Za-z0-9._/-]{0,100})?)?$",
        description="where logs and files are kept: gs://BUCKET/PREFIX or s3://BUCKET/PREFIX; empty: under the home",
    )
    artifacts_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="of a store that speaks like S3, or of an emulator; empty: AWS's or Google's own",
    )
    kafka_bootstrap: str = Field("", description="HOST:PORT,…; empty: the embedded log")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how brokers are spoken to"
    )
    kafka_sasl_mechanism: Literal["", "PLAIN", "OAUTHBEARER"] = Field(
        "", description="how we sign in to brokers"
    )
    kafka_username: str = Field("", description="for SASL/PLAIN")
    kafka_password: SecretStr = Field(SecretStr(""), description="for SASL/PLAIN")
    kafka_ca_file: str = Field("", description="certificates to trust; empty: the system's")
    kafka_replication_factor: int = Field(1, ge=1, description="of the topics that are made")
    node: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_-]{0,40}$",
        description="this stack's name among those that share a broker; each needs one of its own",
    )
    session_timeout: Seconds = Field(10.0, description="a silent consumer is given up after this")
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="GitHub's; old and new with a comma while it is changed"
    )
    server_key: SecretStr = Field(
        SecretStr(""), description="signs attempt tokens; empty: made once under the home"
    )
    attestation_key: SecretStr = Field(
        SecretStr(""),
        description="signs attestations: an Ed25519 private key in PEM; empty: derived from a server key that is set, "
        "else made once under the home",
    )
    attestation_trusted: str = Field(
        "",
        description="public keys in PEM whose attestations count, too: those of before, or of another stack",
    )
    function_token: SecretStr = Field(
        SecretStr(""),
        description="bearer token that functions ask the dispatcher and the scheduler for; empty: `turnout up` derives "
        "one, functions served otherwise ask for none (in the cloud the platform does)",
    )
    function_urls: str = Field(
        "",
        description='where `turnout dispatcher` finds the functions, in JSON: {"orchestrator": "https://…", …}; '
        "tasks go to the launcher where it is among them",
    )
    function_identity: Literal["", "google"] = Field(
        "",
        description="google: show the functions an identity token of this machine's Google account, as Cloud Run asks "
        "for; empty: none",
    )
    dispatcher_sweeps: bool = Field(
        True, description="the dispatcher calls the sweeper; false where a scheduler does"
    )
    projects: str = Field("", description="folder of project files; empty: `projects` under the home")
    console_url: str = Field("", description="base URL for links in reports")
    slack_token: SecretStr = Field(SecretStr(""), description="Slack bot token; empty: no Slack")
    slack_base_url: str = Field("https://slack.com/api/", description="Slack's Web API")
    slack_signing_secret: SecretStr = Field(
        SecretStr(""), description="of the Slack app whose buttons approve and reject; empty: no buttons"
    )
    slack_people: str = Field(
        "",
        pattern=r"^([UW][A-Z0-9]{5,20}=@[A-Za-z0-9_.-]+(,\s*|$))*$",
        description="whose Slack accounts are whose, in all projects: U0123ABCD=@ada,…",
    )
    slack_channel: str = Field("", description="channel where a pipeline names none")
    github_token: SecretStr = Field(
        SecretStr(""), description="GitHub token; statuses and comments, no checks"
    )
    github_app_id: str = Field("", description="id of the GitHub App; empty: none")
    github_app_key: SecretStr = Field(SecretStr(""), description="the App's private key: PEM, or a file")
    github_client_id: str = Field(
        "", description="client id of the GitHub (OAuth) App that people sign in with; empty: nobody can"
    )
    github_client_secret: SecretStr = Field(SecretStr(""), description="its client secret")
    console_admins: str = Field(
        "",
        pattern=r"^(@[A-Za-z0-9_.-]+(,\s*|$))*$",
        description="people of GitHub who are admins everywhere: @ada,@bob",
    )
    console_hosts: str = Field(
        "",
        pattern=r"^([A-Za-z0-9_.-]+(:[0-9]+)?(,\s*|$))*$",
        description="further host names that the console answers to, besides TURNOUT_CONSOLE_URL's and this machine's",
    )
    github_url: str = Field(
        "https://api.github.com",
        pattern=r"^https?://[^\s?#]+$",
        description="GitHub's API; of GitHub Enterprise https://HOST/api/v3",
    )
    github_hook_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="address of the webhook as GitHub has it: of several of a repository, the one whose deliveries a "
        "token asks for; empty: its only one",
    )
    github_redeliver_every: Seconds = Field(
        60.0, description="how often GitHub is asked what it could not deliver, to have it again"
    )
    smtp_url: SecretStr = Field(SecretStr(""), description="smtp://user:password@host:port; empty: no e-mail")
    mail_from: str = Field("turnout@localhost", description="sender of e-mail")
    orchestrator_timers: bool = Field(
        True, description="fire short due times in the process, besides the sweeper"
    )
    launch_deadline: Seconds = Field(900.0, description="an attempt that has not started by then is lost")
    lease: Seconds = Field(
        30.0,
        description="an attempt that has not been heard of for this long is lost",
    )
    heartbeat: Seconds = Field(5.0, description="how often an agent says that it is alive")
    cancel_grace: Seconds = Field(30.0, description="how long a cancelled attempt may take to say so")
    slots: int = Field(0, ge=0, description="attempts at once in one agent process; 0: one a core")
    drain: Seconds = Field(
        20.0, description="how long attempts of an agent process that is told to stop may go on"
    )
    sandbox: Literal["auto", "require", "none"] = Field(
        "auto", description="bubblewrap: if there, must be, or not"
    )
    agents: str = Field(
        "", description="agents of other packages that pipelines may name, separated by commas"
    )
    launcher_runtimes: str = Field("", description="runtimes that the launcher starts, separated by commas")
    launcher_via: Literal["direct", "gateway"] = Field(
        "direct",
        description="jobs of the process runtime speak to bus and store themselves, or to the gateway alone",
    )
    agent_images: str = Field(
        "", description="images of launched jobs: agent=image, or a pattern with {agent}, separated by commas"
    )
    docker_network: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.:-]*$",
        description="network of the docker runtime's containers, in which they reach the gateway and git; empty: "
        "the engine's default",
    )
    docker_pull: Literal["missing", "always", "never"] = Field(
        "missing", description="when the docker runtime pulls an agent's image"
    )
    docker_user: str = Field(
        "10001:10001",
        pattern=r"^[1-9][0-9]*(:[0-9]+)?$",
        description="user and group number of its containers' processes",
    )
    docker_memory: int = Field(
        0, ge=0, description="bytes for a container whose stage asks for none; 0: no limit"
    )
    docker_cpus: float = Field(
        0.0, ge=0, description="cores for a container whose stage asks for none; 0: no limit"
    )
    docker_pids: int = Field(4096, gt=0, description="processes and threads of one container")
    docker_tmp: int = Field(
        512 * 1024 * 1024, gt=0, description="bytes of a container's /tmp, which is in its memory"
    )
    cloudrun_jobs: str = Field(
        "",
        description="the agents' Cloud Run jobs: projects/PROJECT/locations/REGION/jobs/turnout-{agent}",
    )
    cloudrun_endpoint: str = Field("", description="Cloud Run's API; empty: Google's own address")
    cloudbuild_parent: str = Field(
        "", description="where the cloudbuild runtime builds: projects/PROJECT/locations/REGION"
    )
    cloudbuild_service_account: str = Field(
        "",
        description="account of its builds, projects/PROJECT/serviceAccounts/NAME: the repository's code can act as it",
    )
    cloudbuild_pool: str = Field(
        "", description="private worker pool of its builds, in full; empty: the shared one"
    )
    cloudbuild_endpoint: str = Field("", description="Cloud Build's API; empty: Google's own address")
    kubernetes_config: str = Field(
        "",
        description="kubeconfig file of the kubernetes runtime; empty: the launcher's own pod, else kubectl's default",
    )
    kubernetes_context: str = Field("", description="context in it; empty: its current one")
    kubernetes_namespace: str = Field(
        "",
        pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$",
        description="namespace of launched jobs; empty: the account's or the context's",
    )
    kubernetes_service_account: str = Field(
        "", description="account of its pods, which get no token of it; empty: the namespace's default"
    )
    kubernetes_node_selector: str = Field(
        "",
        pattern=r"^([^=,\s]+=[^=,\s]*(,\s*|$))*$",
        description="labels of nodes that its pods may run on: label=value,…",
    )
    kubernetes_tolerations: str = Field(
        "",
        pattern=r"^([^=:,\s]+(=[^=:,\s]*)?(:(NoSchedule|PreferNoSchedule|NoExecute))?(,\s*|$))*$",
        description="taints that its pods tolerate: key=value:Effect,…",
    )
    kubernetes_pull: Literal["", "IfNotPresent", "Always", "Never"] = Field(
        "", description="when a node pulls an agent's image; empty: as its tag has it"
    )
    kubernetes_pull_secrets: str = Field("", description="names of registry credentials, separated by commas")
    kubernetes_priority_class: str = Field("", description="priority class of its pods")
    kubernetes_runtime_class: str = Field("", description="runtime class of its pods, as gvisor")
    kubernetes_user: str = Field(
        "10001:10001",
        pattern=r"^[1-9][0-9]*(:[1-9][0-9]*)?$",
        description="user and group number of its containers' processes",
    )
    kubernetes_memory: int = Field(
        0, ge=0, description="bytes for a pod whose stage asks for none; 0: no limit"
    )
    kubernetes_cpus: float = Field(
        0.0, ge=0, description="cores for a pod whose stage asks for none; 0: no limit"
    )
    kubernetes_disk: int = Field(0, ge=0, description="bytes of a node's disk for a pod; 0: no limit")
    kubernetes_keep: int = Field(
        14 * 24 * 3600,
        ge=3600,
        description="seconds that an ended job is kept; a task's record that comes again later launches it again, and "
        "the gateway turns that one away",
    )
    gateway_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="where launched jobs reach the gateway; empty: `turnout up` takes its own",
    )
    gateway_artifact: int = Field(
        200_000_000, gt=0, description="bytes of one artifact that a launched job may upload"
    )
    gateway_artifacts: int = Field(
        1_000_000_000, gt=0, description="bytes of all artifacts of one launched attempt together"
    )
    gateway_log: int = Field(64_000_000, gt=0, description="bytes of log of one launched attempt")
    gateway_log_rate: int = Field(
        4_000_000, gt=0, description="bytes of log that a launched attempt may send in a second, on average"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("launcher_runtimes", mode="after")
    @classmethod
    def _known_runtimes(cls, given: str) -> str:
        for name in filter(None, (each.strip() for each in given.split(","))):
            if name not in set(Runtime):
                raise ValueError(f"{name!r} is no runtime; known are {', '.join(Runtime)}")
        return given

    @field_validator("agents", mode="after")
    @classmethod
    def _agents_names(cls, given: str) -> str:
        for name in filter(None, (each.strip() for each in given.split(","))):
            if not _AGENT.fullmatch(name) or name in TAKEN:
                raise ValueError(
                    f"{name!r} can't be an agent's name: small letters, digits, `_` and `-`, "
                    f"and none of {', '.join(sorted(TAKEN))}"
                )
        return given

    @field_validator("function_urls", mode="after")
    @classmethod
    def _known_urls(cls, given: str) -> str:
        _read_urls(given)
        return given

    @field_validator("agent_images", mode="after")
    @classmethod
    def _known_images(cls, given: str) -> str:
        read_images(given)
        return given

    @property
    def urls(self) -> dict[str, str]:
        """Function to address."""
        return _read_urls(self.function_urls)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The agents that pipelines may name: the built-in ones, and those of other packages."""
        given = (each.strip() for each in self.agents.split(","))
        return tuple(dict.fromkeys((*AGENT_KINDS, *filter(None, given))))

    @property
    def topics(self) -> tuple[Topic, ...]:
        return topics_with(self.kinds)

    @property
    def images(self) -> Images:
        return read_images(self.agent_images)

    @property
    def runtimes(self) -> tuple[Runtime, ...]:
        """Those that the launcher starts jobs on."""
        return tuple(Runtime(each.strip()) for each in self.launcher_runtimes.split(",") if each.strip())

    @property
    def admins(self) -> frozenset[str]:
        """Logins, in small letters."""
        return frozenset(_each(self.console_admins.lower().replace("@", "")))

    @property
    def slack_accounts(self) -> dict[str, str]:
        """Slack's member ids, and the logins of the people they belong to."""
        pairs = (each.partition("=@") for each in _each(self.slack_people))
        return {account: login for account, _, login in pairs}

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'turnout.db'}"

    @property
    def roles(self) -> tuple[str, ...]:
        """Of the database, to which the tables are opened."""
        return tuple(_each(self.database_roles))

    def sign_in(self) -> Callable[[], str] | None:
        """What gives the database's password for each connection; None: the URL has it. It raises TransientError."""
        if self.database_identity:
            from turnout.adapters.google_metadata import metadata

            return metadata().access_token
        return self.database_password.get_secret_value if self.database_password.get_secret_value() else None

    @property
    def embedded(self) -> bool:
        """Whether the store's outbox is the log."""
        return not self.kafka_bootstrap

    @property
    def projects_folder(self) -> Path:
        return Path(self.projects) if self.projects else self.home / "projects"

    def member(self, part: str) -> str:
        """A part's name in its group: the same after a restart, and another one in every stack that shares the bus."""
        return f"{part}.{self.node}" if self.node else part

    @property
    def timing(self) -> Timing:
        return Timing(
            launch=self.launch_deadline,
            lease=self.lease,
            heartbeat=self.heartbeat,
            cancel_grace=self.cancel_grace,
        )

    def door_key(self) -> str:
        """What opens the functions of one machine to each other, and to nobody else there."""
        given = self.function_token.get_secret_value()
        return given or hmac.new(self.key(), b"functions", hashlib.sha256).hexdigest()

    def console_token(self) -> str:
        """The local token: who can read the server's key is admin of its console."""
        return "turnout_local_" + hmac.new(self.key(), b"console", hashlib.sha256).hexdigest()

    def key(self) -> bytes:
        """The server's key, made and kept under the home (mode 0600) where none is set."""
        if self.server_key.get_secret_value():
            return self.server_key.get_secret_value().encode()
        return _kept_key(self.home / "server.key", lambda: secrets.token_hex(32).encode())

    def attestation_pem(self) -> str:
        """The private key that signs attestations: the one that is set; one derived from the server's key where that
        is set, so that all who share it sign alike; otherwise one that is made and kept under the home (mode 0600).
        """
        if self.attestation_key.get_secret_value():
            return self.attestation_key.get_secret_value()
        if self.server_key.get_secret_value():
            return ed25519_pem(hmac.new(self.key(), b"attestations", hashlib.sha256).digest())
        made = _kept_key(self.home / "attestation.key", lambda: ed25519_pem(secrets.token_bytes(32)).encode())
        return made.decode()


def _each(given: str) -> list[str]:
    return [each.strip() for each in given.split(",") if each.strip()]


def _read_urls(given: str) -> dict[str, str]:
    """Raises: ValueError naming all that is wrong."""
    try:
        found = json.loads(given or "{}")
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("expected an object of functions and their addresses")
    wrong = [
        f"{name}: {url!r} is no http:// or https:// URL"
        for name, url in found.items()
        if not isinstance(url, str) or not _URL.fullmatch(url)
    ]
    wrong += [f"{name!r} is no function that is posted to" for name in sorted({*found} - {*POSTED})]
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def default_home(environ: Mapping[str, str]) -> Path:
    """``$XDG_DATA_HOME/turnout``, which is ``~/.local/share/turnout`` where that isn't set."""
    data = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME", "~")) / ".local" / "share")
    return Path(data) / "turnout"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Raises: InvalidSettings naming every variable that is wrong, with what it got and what was expected."""
    given: dict[str, Any] = {"home": default_home(environ)}
    wrong: list[str] = []
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        if path := environ.get(f"{variable}_FILE"):
            try:
                given[name] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                wrong.append(f"{variable}_FILE: {path!r} can't be read: {error}")
        elif environ.get(variable):
            given[name] = environ[variable]
    found: Settings | None = None
    try:
        found = Settings.model_validate(given)
    except ValidationError as error:
        for each in error.errors(include_url=False):
            name = str(each["loc"][0])
            got = "" if _secret(name) else f", got {each['input']!r}"
            wrong.append(f"{PREFIX}{name.upper()}: {each['msg']}{got}")
    if found is not None and found.lease < 2 * found.heartbeat:
        wrong.append(
            f"TURNOUT_LEASE: {found.lease:g} s is too short for a heartbeat every {found.heartbeat:g} s, "
            "expected twice that at least"
        )
    if found is not None:
        wrong += _wrong_sign_in(found)
    if wrong or found is None:
        raise InvalidSettings(
            "settings: " + "; ".join(wrong), "see `turnout settings` for what each one means"
        )
    return found


def _wrong_sign_in(found: Settings) -> list[str]:
    if found.database_identity and found.database_password.get_secret_value():
        return [
            "TURNOUT_DATABASE_IDENTITY and TURNOUT_DATABASE_PASSWORD: the token is the password, set one of them"
        ]
    asked = [
        name
        for name in ("database_identity", "database_password", "database_roles")
        if str(getattr(found, name)) and not found.store_url.startswith("postgres")
    ]
    return [
        f"{PREFIX}{name.upper()}: SQLite knows none, expected with a postgresql URL alone" for name in asked
    ]


def _secret(name: str) -> bool:
    """Whether what is given there is not to be shown."""
    field = Settings.model_fields[name]
    return field.annotation is SecretStr or not field.repr


def ed25519_pem(seed: bytes) -> str:
    """PKCS #8 in PEM. ``seed``: 32 bytes. Source: RFC 8410, section 7."""
    der = bytes.fromhex("302e020100300506032b657004220420") + seed
    return f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(der).decode()}\n-----END PRIVATE KEY-----\n"


def _kept_key(path: Path, make: Callable[[], bytes]) -> bytes:
    """Several processes may start at once: the first one's key is everybody's."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(make())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(made)
    return path.read_bytes()


def describe(stream: Any = None) -> str:
    """The settings as a Markdown table, for the docs."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, SecretStr):
            default = ""
        shown = (
            "`~/.local/share/turnout`"
            if name == "home"
            else (f"`{default}`" if default not in ("", None) else "")
        )
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    text = "\n".join(rows) + "\n"
    if stream is not None:
        stream.write(text)
    return text


if __name__ == "__main__":
    describe(sys.stdout)
