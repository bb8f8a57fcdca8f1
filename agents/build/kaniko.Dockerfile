# The build agent with kaniko's executor, for where there is no engine and no privilege: Cloud Run, Cloud Build.
# BUILD: the build agent's own image. KANIKO: an image with /kaniko/executor; the default is a maintained fork, since
# the project's own repository is archived. Name both by their digests where builds have to be the same for ever.
ARG BUILD=turnout-build
ARG KANIKO=ghcr.io/osscontainertools/kaniko:latest
FROM ${KANIKO} AS kaniko
FROM ${BUILD}
COPY --from=kaniko /kaniko/executor /kaniko/executor
# it unpacks images with their owners, in a root of its own: root in a container that keeps CAP_SYS_CHROOT
# hadolint ignore=DL3002
USER 0:0
ENV TURNOUT_BUILD_BACKEND=kaniko
