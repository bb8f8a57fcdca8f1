"""A real Apache Kafka 4 in KRaft mode: fetched once, formatted in a temporary directory, on loopback.

As a command it serves until Ctrl-C: ``python -m local.kafka.broker --port 9092``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from local.kafka import guard
from local.kafka.guard import Guard
from local.server_process import LocalServer, ServerFailed, ServerProcess, free_port, serve
from turnout.core.errors import PermanentError, TransientError

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
LOG_SETTINGS = HERE / "log4j2.yaml"
OLDEST_JAVA = 17  # Source: Kafka 4.0 upgrade notes, brokers need Java 17
INSTALL = "make real-parts installs it"

# One small node: few threads and partitions, no waiting for members that never come, time-outs that a
# restart test can sit out.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
controlled.shutdown.max.retries=1
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=16777216
"""
OPEN = """\
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


def version() -> str:
    """The Kafka version that the pom names."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text())
    if found is None:
        raise PermanentError(f"{POM} names no kafka.version", "restore the property")
    return found.group(1)


def java() -> str | None:
    """The program of a Java that is new enough, from JAVA_HOME or PATH; None: there is none."""
    home = os.environ.get("JAVA_HOME")
    for candidate in (f"{home}/bin/java" if home else None, "java"):
        program = shutil.which(candidate) if candidate else None
        if program is None:
            continue
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
        number = re.search(r'version "(\d+)', said)
        if number is not None and int(number.group(1)) >= OLDEST_JAVA:
            return program
    return None


def available() -> bool:
    """Whether a broker can be started here: a Java, and the jars or a Maven that fetches them."""
    return java() is not None and (_complete(jar_folder()) or shutil.which("mvn") is not None)


def jar_folder() -> Path:
    """Where the jars of this version are kept, outside the checkout."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "turnout" / f"kafka-{version()}"


def compiled_folder() -> Path:
    """Where the guard's class is kept once it has been compiled."""
    return jar_folder().with_name(f"kafka-guard-{version()}-{_digest(guard.SOURCE, guard.POM)[:12]}")


def _digest(*files: Path) -> str:
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()


def _complete(folder: Path) -> bool:
    mark = folder / "complete"
    return mark.is_file() and mark.read_text() == _digest(POM)


def fetch_jars() -> Path:
    """The folder with the jars, fetched from Maven Central when they are not there yet.

    Raises: PermanentError without Maven; TransientError when Maven could not fetch them.
    """
    folder = jar_folder()
    if _complete(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as made:
        fetched = Path(made) / "jars"
        _fetch(POM, fetched)
        (fetched / "complete").write_text(_digest(POM))
        shutil.rmtree(folder, ignore_errors=True)
        try:
            fetched.rename(folder)
        except OSError:
            if not _complete(folder):  # otherwise another process was faster, with the same jars
                raise
    return folder


def compile_guard() -> Path:
    """The folder with the guard's class, compiled when it is not there yet. Raises: as `fetch_jars`."""
    folder = compiled_folder()
    if folder.is_dir():
        return folder
    program = _java()
    jars = fetch_jars()
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as made:
        compiler, classes = Path(made) / "compiler", Path(made) / "classes"
        _fetch(guard.POM, compiler)
        if wrong := guard.compile_to(classes, program, compiler, jars):
            raise PermanentError(f"{guard.SOURCE.name} could not be compiled", wrong[-2000:])
        try:
            classes.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was faster
                raise
    return folder


def _fetch(pom: Path, into: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise PermanentError("Maven is needed to fetch Apache Kafka, and mvn is not on PATH", INSTALL)
    done = subprocess.run(
        [maven, "--batch-mode", "--quiet", "--strict-checksums", "-Dstyle.color=never", f"--file={pom}"]
        + ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise TransientError("Maven could not fetch Apache Kafka", (done.stdout + done.stderr)[-2000:])


def _java() -> str:
    program = java()
    if program is None:
        raise PermanentError(f"Apache Kafka needs Java {OLDEST_JAVA} or newer", INSTALL)
    return program


class Broker(LocalServer):
    """One node that is broker and controller. ``data``: kept there; None: a temporary folder.

    ``advertised_port``: where clients are told to find it, such as a proxy's; 0: where it listens. ``guarded``: who
    comes there has to sign in (`local.kafka.guard`); None: it takes everybody.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        data: Path | None = None,
        ready_within: float = 60,
        advertised_port: int = 0,
        guarded: Guard | None = None,
    ) -> None:
        super().__init__(port=port, folder=data, ready_within=ready_within)
        self.what = f"Apache Kafka {version()}"
        self._advertised = advertised_port or self.port
        self._guard = guarded
        self._provider = free_port() if guarded else self.port

    @property
    def bootstrap(self) -> str:
        """``host:port``, for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def provider(self) -> str:
        """``host:port``, where a guarded one takes everybody, for everything."""
        return f"127.0.0.1:{self._provider}"

    @property
    def decisions(self) -> Path:
        """What a guarded one's lists allowed and refused: a line each."""
        return guard.decisions(self.folder)

    def _prepare(self) -> ServerProcess:
        program = _java()
        jars = fetch_jars()
        data = self.folder / "data"
        settings = self.folder / "server.properties"
        controller = free_port()
        run = [program, "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        if self._guard is None:
            listeners = OPEN.format(port=self.port, advertised=self._advertised, controller=controller)
            run += [f"-Dlog4j2.configurationFile={LOG_SETTINGS}", "-cp", f"{jars}/*"]
        else:
            listeners = self._guard.listeners(
                self.folder,
                port=self.port,
                provider=self._provider,
                controller=controller,
                advertised=self._advertised,
            )
            run += [f"-Dlog4j2.configurationFile={guard.HERE / LOG_SETTINGS.name}"]
            run += [*self._guard.properties(self.folder), "-cp", f"{jars}/*:{compile_guard()}"]
        settings.write_text(SETTINGS.format(controller=controller, data=data) + listeners)
        if not (data / "meta.properties").exists():
            self._format(run, settings)
        return ServerProcess(
            name=self.what,
            argv=[*run, "kafka.Kafka", str(settings)],
            log=self.log,
            ready_line="Kafka Server started",
            cwd=self.folder,
        )

    def _format(self, run: list[str], settings: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        done = subprocess.run(
            [*run, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(settings)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed("Kafka's storage could not be formatted", (done.stdout + done.stderr)[-2000:])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.kafka.broker", description="Run Apache Kafka.")
    parser.add_argument("--port", type=int, default=9092, help="on 127.0.0.1; 0: any free one (default 9092)")
    parser.add_argument("--data", type=Path, help="keep the data in this folder (default: a temporary one)")
    parser.add_argument("--fetch", action="store_true", help="fetch the jars and end")
    asked = parser.parse_args()
    if asked.fetch:
        print(f"Apache Kafka {version()}: {fetch_jars()}, {compile_guard()}")
        return
    broker = Broker(port=asked.port, data=asked.data)
    serve(
        broker,
        lambda: (
            f"{broker.what} listens on {broker.bootstrap}; Ctrl-C stops it.\n"
            f"To use it: TURNOUT_KAFKA_BOOTSTRAP={broker.bootstrap} turnout up"
        ),
    )


if __name__ == "__main__":
    try:
        main()
    except (PermanentError, TransientError) as error:
        raise SystemExit(f"kafka: {error}") from None
