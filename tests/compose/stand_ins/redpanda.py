#!/usr/bin/python3
"""Apache Kafka behind the command line that Redpanda is given: a flag that is not known here is refused.

Source: https://docs.redpanda.com/current/reference/rpk/rpk-redpanda/rpk-redpanda-start/
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

DATA = Path("/var/lib/redpanda/data")
WRITTEN = Path("/etc/redpanda")  # where the real one writes its settings, too
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:29093
controller.listener.names=CONTROLLER
inter.broker.listener.name={name}
listeners={name}://{listen},CONTROLLER://127.0.0.1:29093
advertised.listeners={name}://{advertised}
listener.security.protocol.map={name}:PLAINTEXT,CONTROLLER:PLAINTEXT
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
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="redpanda", allow_abbrev=False)
    parser.add_argument("program", choices=["redpanda"])
    parser.add_argument("verb", choices=["start"])
    parser.add_argument("--kafka-addr", required=True)
    parser.add_argument("--advertise-kafka-addr", required=True)
    parser.add_argument("--rpc-addr", required=True)
    parser.add_argument("--advertise-rpc-addr", required=True)
    parser.add_argument("--smp", type=int, required=True)
    parser.add_argument("--memory", required=True)
    parser.add_argument("--reserve-memory", required=True)
    parser.add_argument("--overprovisioned", action="store_true")
    parser.add_argument("--check", choices=["true", "false"], default="true")
    parser.add_argument(
        "--default-log-level", choices=["error", "warn", "info", "debug", "trace"], default="info"
    )
    return parser.parse_args()


def main() -> None:
    given = asked()
    name, _, listen = given.kafka_addr.partition("://")
    named, _, advertised = given.advertise_kafka_addr.partition("://")
    if name != named:
        sys.exit(f"--kafka-addr is called {name}, --advertise-kafka-addr {named}")
    data = DATA / "kafka"
    settings = WRITTEN / "server.properties"
    settings.write_text(SETTINGS.format(name=name.upper(), listen=listen, advertised=advertised, data=data))
    java = ["java", "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java += ["-Dlog4j2.configurationFile=/opt/log4j2.yaml", "-cp", "/opt/kafka/*"]
    if not (data / "meta.properties").exists():
        cluster = "--cluster-id=MkU3OEVBNTcwNTJENDM2Qg"
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", cluster, "--config", str(settings)], check=True
        )
    os.execvp("java", [*java, "kafka.Kafka", str(settings)])


main()
