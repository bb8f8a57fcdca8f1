"""``python -m local.cluster``: a cluster until Ctrl-C, for whoever wants to look around."""

from __future__ import annotations

import argparse
import signal
import threading

from local.cluster import Cluster, program
from turnout.core.errors import PermanentError


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m local.cluster", description="Run Kubernetes on this machine's loopback."
    )
    parser.add_argument("--nodes", type=int, default=2, help="how many, each with 8 cores (default 2)")
    given = parser.parse_args()
    ended = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: ended.set())
    with Cluster(nodes=given.nodes) as cluster:
        print(
            f"Kubernetes listens on {cluster.server}; Ctrl-C stops it and removes its data.\n"
            f"To use it:  export KUBECONFIG={cluster.kubeconfig} PATH={program('kubectl').parent}:$PATH",
            flush=True,
        )
        ended.wait()


if __name__ == "__main__":
    try:
        main()
    except PermanentError as error:
        raise SystemExit(f"cluster: {error}") from None
