"""What a tool reaches over the network, without one and with one of its own.

Nothing is ever sent to an address outside this machine: a script says what it sees first, and goes on only where
nothing could get out.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.security.conftest import Try, tries
from turnout.adapters.embedded_log.wake_sockets import SocketBell, SocketListener
from turnout.runtimes.sandbox import Bubblewrap, Mount
from turnout.runtimes.sandbox_network import own_addresses

pytestmark = pytest.mark.real

KNOCK = """
import socket, sys
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as knocking:
        knocking.settimeout(5)
        print(place, "open" if knocking.connect_ex((host, int(port))) == 0 else "closed")
"""
METADATA = """
import socket
names = [name for _, name in socket.if_nameindex()]
routes = open("/proc/net/route").read().splitlines()[1:]
refused = any(line.split()[1] == "0000FEA9" and int(line.split()[3], 16) & 0x200 for line in routes)
if names == ["lo"] or refused:
    with socket.socket() as knocking:
        knocking.settimeout(5)
        try:
            knocking.connect(("169.254.169.254", 80))
            print("reached")
        except OSError as error:
            print("refused:", error.strerror)
else:
    print("reachable, not tried", names, routes)
"""


@pytest.fixture
def services() -> Iterator[list[str]]:
    """Listening on this machine: its loopback, IPv4 and IPv6, all its addresses, as brokers and databases do."""
    with (
        socket.create_server(("127.0.0.1", 0)) as loopback,
        socket.create_server(("0.0.0.0", 0)) as everywhere,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        port = everywhere.getsockname()[1]
        places = [f"127.0.0.1:{loopback.getsockname()[1]}", f"127.0.0.1:{port}"]
        places += [f"::1:{six.getsockname()[1]}"]
        places += [f"{address}:{port}" for address in own_addresses(Path("/proc/net/fib_trie").read_text())]
        # what slirp4netns itself would lead to: this machine's loopback, and its resolver
        places += [f"198.18.255.2:{port}", f"198.18.255.3:{port}"]
        yield places


def test_no_service_of_this_machine_is_reached_without_the_network(attempt: Try, services: list[str]) -> None:
    said = attempt(*services, script=KNOCK)[1]
    assert said.splitlines() == [f"{place} closed" for place in services]


def test_no_service_of_this_machine_is_reached_with_the_network_either(
    attempt: Try, networked: Bubblewrap, services: list[str]
) -> None:
    said = attempt(*services, script=KNOCK, network=True)[1]
    assert said.splitlines() == [f"{place} closed" for place in services]


def test_with_this_machines_network_they_would_all_be_reached(
    sandbox: Bubblewrap, workspace: Path, services: list[str]
) -> None:
    """So the tests above can fail."""
    run = tries(replace(sandbox, network=""), workspace)
    said = run(*services, script=KNOCK, network=True)[1]
    own = [place for place in services if not place.startswith("198.18.")]
    assert said.splitlines()[: len(own)] == [f"{place} open" for place in own]


@pytest.mark.parametrize("network", [False, True])
def test_the_clouds_metadata_address_is_refused(attempt: Try, networked: Bubblewrap, network: bool) -> None:
    said = attempt(script=METADATA, network=network)[1].strip()
    assert said in ("refused: Network is unreachable", "refused: Permission denied"), said


def test_a_tool_cannot_change_the_routes_that_refuse(attempt: Try, networked: Bubblewrap) -> None:
    script = (
        "import socket, struct\n"
        "kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\n"
        # RTM_DELROUTE of 169.254.0.0/16, with an acknowledgement asked for
        "body = bytes([2, 16, 0, 0, 254, 0, 0, 8]) + bytes(4) + struct.pack('=HH4s', 8, 1, bytes([169, 254, 0, 0]))\n"
        "kernel.send(struct.pack('=IHHII', 16 + len(body), 25, 5, 1, 0) + body)\n"
        "print(struct.unpack_from('=i', kernel.recv(4096), 16)[0])\n"
    )
    assert attempt(script=script, network=True)[1].strip() == "-1", "EPERM"


def test_packets_cannot_be_made_by_hand(attempt: Try, networked: Bubblewrap) -> None:
    script = (
        "import socket\n"
        "for family, kind, protocol in ((2, 3, 1), (2, 3, 255), (17, 3, 3)):\n"
        "    try: socket.socket(family, kind, protocol); print('made')\n"
        "    except OSError as error: print(error.errno in (1, 97))\n"
    )
    assert attempt(script=script, network=True)[1].split() == ["True"] * 3


def test_names_are_not_resolved_without_the_network(attempt: Try) -> None:
    script = (
        "import socket\n"
        "try: print(socket.getaddrinfo('secret-hidden-in-a-name.example.org', 80))\n"
        "except socket.gaierror as error: print('not resolved')\n"
        "udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "try: udp.sendto(b'x', ('192.0.2.53', 53)); print('sent')\n"
        "except OSError as error: print(error.strerror)\n"
    )
    assert attempt(script=script)[1].splitlines() == ["not resolved", "Network is unreachable"]


@pytest.mark.parametrize("network", [False, True])
def test_abstract_sockets_of_this_machine_are_not_there(
    attempt: Try, networked: Bubblewrap, network: bool
) -> None:
    name = f"turnout-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        script = (
            "import socket, sys\n"
            "with socket.socket(socket.AF_UNIX) as knocking:\n"
            "    print(knocking.connect_ex('\\0' + sys.argv[1]))\n"
        )
        assert attempt(name, script=script, network=network)[1].strip() == "111", "ECONNREFUSED"


@pytest.mark.parametrize("network", [False, True])
def test_the_stacks_wake_sockets_are_out_of_reach(
    attempt: Try, networked: Bubblewrap, tmp_path: Path, network: bool
) -> None:
    bell = SocketBell(tmp_path / "turnout.db")
    listener = bell.listen(["pipeline.events"])
    try:
        assert isinstance(listener, SocketListener)
        (socket_file,) = bell.folder.iterdir()
        script = (
            "import socket, sys\n"
            "with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as knocking:\n"
            "    print(knocking.connect_ex(sys.argv[1]))\n"
        )
        assert attempt(str(socket_file), script=script, network=network)[1].strip() == "2", "ENOENT"
        assert listener.wait(0) is False
    finally:
        listener.close()


def test_no_socket_of_a_service_is_shown(attempt: Try) -> None:
    for place in (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd",
        "/run/dbus",
        "/run/user",
        "/tmp/.X11-unix",
    ):
        assert attempt("test", "-e", place)[0].code == 1, place


def test_a_socket_in_a_folder_that_is_shown_leads_back_to_who_put_it_there(
    attempt: Try, workspace: Path, tmp_path: Path
) -> None:
    """A mount shows sockets as well: so nothing is mounted that a service listens in. What the agents mount is the
    cache, the scratch folder, interpreters and a mirror's objects."""
    cache = tmp_path / "cache"
    cache.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(cache / "service"))
        server.listen()
        os.chmod(cache / "service", 0o666)
        script = (
            "import socket, sys\n"
            "with socket.socket(socket.AF_UNIX) as knocking: print(knocking.connect_ex(sys.argv[1]))\n"
        )
        said = attempt(str(cache / "service"), script=script, mounts=(Mount(cache),))[1]
    assert said.strip() == "0", "a mount would be a door"


def test_only_everyday_sockets_can_be_made(attempt: Try, networked: Bubblewrap) -> None:
    """vsock reaches the hypervisor past every network namespace; the crypto interface is a way into the kernel."""
    script = (
        "import socket\n"
        "for family in (40, 38, 15, 30, 31, 44):\n"
        "    try: socket.socket(family, socket.SOCK_STREAM); print('made')\n"
        "    except OSError as error: print(error.errno)\n"
    )
    assert attempt(script=script, network=True)[1].split() == ["97"] * 6, "EAFNOSUPPORT"
