"""What a tool's own network leaves out, as data. That it does is shown in tests/security/test_network_escapes.py."""

from __future__ import annotations

from turnout.runtimes.sandbox_network import own_addresses, resolver

TABLE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 198.51.100.9
           /32 host LOCAL
"""


def test_the_machines_own_addresses_are_known_each_once_and_not_its_loopback() -> None:
    assert own_addresses(TABLE) == ["192.0.2.7", "198.51.100.9"]


def test_names_are_asked_for_at_the_tools_own_server_with_the_machines_habits() -> None:
    own = "# made by hand\nnameserver 127.0.0.53\nsearch example.org\noptions edns0\n"
    assert resolver(own) == "nameserver 198.18.255.3\nsearch example.org\noptions edns0\n"
