"""A Kubernetes cluster on this machine's loopback, for tests and the demo.

The API server, the controllers, the scheduler and etcd are the real ones, built by local/setup/cluster.sh (pinned;
`make real-parts` calls it). kwok plays the nodes: pods are scheduled and become ready, and no container runs.

    from local.cluster import Cluster, program

    with Cluster() as cluster:
        namespace = cluster.namespace()                    # enforces the restricted pod security standard
        cluster.kubeconfig                                 # the administrator's
        cluster.kubeconfig_for(namespace, "edit")          # a service account's; rules=[…] for exact rights
        subprocess.run([program("kubectl"), "--kubeconfig", cluster.kubeconfig, …])   # also helm (4), helm3

`make cluster` runs one until Ctrl-C. In tests: the fixture `cluster` (one a session, of `tests/cluster.py`; each test
makes namespaces of its own by `cluster.namespace()`).

How a pod behaves follows from its first container's image, ``behave.test/BEHAVIOUR:any-tag``, or from its annotation
``behave.test/as: BEHAVIOUR``, so that `set image` to one that fails is a rollout that fails:

    run (any other image)   runs, is ready, goes on until it is deleted
    succeed, fail, oom      runs, ends soon: exit status 0, 1, 137 with OOMKilled
    evicted                 runs, then its node is short of memory
    crash                   CrashLoopBackOff, or Failed where it is never started again
    never-ready             runs, and is never ready
    image-pull              ImagePullBackOff
    pending                 is scheduled, and its containers are never made

`cluster.end_pod(…)` ends a running one, `cluster.evict(…)` evicts it as a drained node does; `cluster.say(…)` is
what `kubectl logs` shows of each from then on; `cluster.api` asks the server anything.
"""

from local.cluster.cluster import Behaviour, Cluster
from local.cluster.programs import INSTALL, available, program

__all__ = ["INSTALL", "Behaviour", "Cluster", "available", "program"]
