"""A broker that asks who somebody is, as Google's managed Kafka does, and keeps lists of who may do what.

Clients come over TLS, with a certificate of a throwaway authority, and sign in by OAUTHBEARER with the token of a
Google account (`GoogleTokens.java`). Kafka's StandardAuthorizer has the lists. A second listener, in plain text, is
the provider's own: whoever comes there may do everything.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.certificates import Authority

HERE = Path(__file__).parent
SOURCE = HERE / "GoogleTokens.java"
POM = HERE / "pom.xml"

SETTINGS = """\
listeners=CLIENTS://127.0.0.1:{port},PROVIDER://127.0.0.1:{provider},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{advertised},PROVIDER://127.0.0.1:{provider}
listener.security.protocol.map=CLIENTS:SASL_SSL,PROVIDER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PROVIDER
sasl.enabled.mechanisms=OAUTHBEARER
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location={certificate}
listener.name.clients.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.clients.oauthbearer.sasl.server.callback.handler.class=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.clients.sasl.oauthbearer.jwt.validator.class=turnout.GoogleTokens
listener.name.clients.oauthbearer.connections.max.reauth.ms=3600000
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""
"""What has no list is open to everybody who signs in: the worse of what a provider may have chosen."""


@dataclass(frozen=True)
class Guard:
    """``tokeninfo``: where is told whose an access token is. ``authority``: of the broker's certificate."""

    tokeninfo: str
    authority: Authority

    def listeners(self, folder: Path, *, port: int, provider: int, controller: int, advertised: int) -> str:
        """Lines of the broker's settings; its certificate is put into ``folder``."""
        certificate = folder / "broker.pem"
        certificate.touch(mode=0o600)
        certificate.write_text(self.authority.certificate("127.0.0.1"))
        return SETTINGS.format(
            port=port,
            provider=provider,
            controller=controller,
            advertised=advertised,
            certificate=certificate,
        )

    def properties(self, folder: Path) -> list[str]:
        """Of the broker's Java machine."""
        return [f"-Dturnout.tokeninfo={self.tokeninfo}", f"-Dturnout.decisions={decisions(folder)}"]


def decisions(folder: Path) -> Path:
    """What the authorizer of the broker of this folder allowed and refused."""
    return folder / "decisions.log"


def compile_to(folder: Path, java: str, compiler: Path, jars: Path) -> str:
    """Of `GoogleTokens.java`. What the compiler complains of; empty: nothing."""
    path = ":".join(str(each) for each in sorted(jars.glob("*.jar")))
    done = subprocess.run(
        [java, "-jar", str(next(compiler.glob("ecj-*.jar"))), "-17", "-proc:none", "-cp", path]
        + ["-d", str(folder), str(SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
