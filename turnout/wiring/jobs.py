"""Where attempts are launched as jobs of their own, and what they are launched with."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, assert_never

from turnout.adapters.settings import InvalidSettings
from turnout.core.model import Runtime
from turnout.wiring.foundations import Foundations

if TYPE_CHECKING:
    from turnout.core.ports import JobRuntime
    from turnout.gateway import Passes
    from turnout.launching import Launcher


class Jobs(Foundations):
    @cached_property
    def launcher(self) -> Launcher:
        from turnout.launching import Launcher

        return Launcher({each: self._runtime(each) for each in self.settings.runtimes})

    def _runtime(self, runtime: Runtime) -> JobRuntime:
        match runtime:
            case Runtime.PROCESS:
                if self.settings.launcher_via == "gateway":
                    from agents.sdk.environment import inherited
                    from turnout.runtimes.process_gateway import GatewayProcessRuntime

                    held = {"TURNOUT_SANDBOX": self.settings.sandbox}
                    return GatewayProcessRuntime(self.settings.home, self.passes, environ=inherited() | held)
                from turnout.runtimes.process import ProcessRuntime

                return ProcessRuntime(self.settings.home, self.claims, sandbox=self.settings.sandbox)
            case Runtime.DOCKER:
                return self._docker()
            case Runtime.KUBERNETES:
                return self._kubernetes()
            case Runtime.CLOUDRUN:
                return self._cloudrun()
            case Runtime.CLOUDBUILD:
                return self._cloudbuild()
            case _:
                assert_never(runtime)

    def _docker(self) -> JobRuntime:
        from turnout.runtimes.docker import DockerRuntime, DockerSettings

        s = self.settings
        given = DockerSettings(
            network=s.docker_network,
            pull=s.docker_pull,
            user=s.docker_user,
            memory=s.docker_memory,
            cpus=s.docker_cpus,
            pids=s.docker_pids,
            tmp=s.docker_tmp,
            owner=s.node,
        )
        return DockerRuntime(s.images, self.passes, given)

    def _kubernetes(self) -> JobRuntime:
        from turnout.runtimes import kubernetes_placement as placing
        from turnout.runtimes.kubernetes import KubernetesRuntime
        from turnout.runtimes.kubernetes_api import open_api

        s = self.settings
        user, group = placing.read_user(s.kubernetes_user)
        placement = placing.Placement(
            service_account=s.kubernetes_service_account,
            node_selector=placing.read_selector(s.kubernetes_node_selector),
            tolerations=placing.read_tolerations(s.kubernetes_tolerations),
            pull_secrets=placing.read_names(s.kubernetes_pull_secrets),
            pull=s.kubernetes_pull,
            priority_class=s.kubernetes_priority_class,
            runtime_class=s.kubernetes_runtime_class,
            user=user,
            group=group,
            memory=s.kubernetes_memory,
            cpus=s.kubernetes_cpus,
            disk=s.kubernetes_disk,
            keep=s.kubernetes_keep,
        )
        return KubernetesRuntime(
            s.images,
            self.passes,
            placement,
            connect=lambda: open_api(s.kubernetes_config, s.kubernetes_context, s.kubernetes_namespace),
        )

    def _cloudrun(self) -> JobRuntime:
        from turnout.adapters.store.launches import SqlLaunches
        from turnout.runtimes.cloudrun import cloudrun_runtime

        s = self.settings
        return cloudrun_runtime(
            s.cloudrun_jobs,
            s.images,
            self.passes,
            SqlLaunches(self.store.database),
            self.clock,
            endpoint=s.cloudrun_endpoint,
        )

    def _cloudbuild(self) -> JobRuntime:
        from turnout.adapters.store.launches import SqlLaunches
        from turnout.runtimes.cloudbuild import cloudbuild_runtime

        s = self.settings
        return cloudbuild_runtime(
            s.cloudbuild_parent,
            s.images,
            self.passes,
            SqlLaunches(self.store.database),
            self.clock,
            service_account=s.cloudbuild_service_account,
            pool=s.cloudbuild_pool,
            endpoint=s.cloudbuild_endpoint,
        )

    @cached_property
    def passes(self) -> Passes:
        """What jobs are launched with. Raises: InvalidSettings where nothing says where the gateway is."""
        from turnout.gateway import Passes

        if not self.settings.gateway_url:
            raise InvalidSettings(
                "TURNOUT_GATEWAY_URL: missing", "set it to where launched jobs reach the gateway"
            )
        return Passes(self.settings.gateway_url, self.settings.key(), self.clock, self.settings.timing)
