"""The chart's own files: what is generated of them, and the program of its `helm test`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from local.helm.table import CHART, FILE, rows, text
from local.server_process import free_port


def test_the_table_of_values_is_what_they_are() -> None:
    assert FILE.read_text() == text(FILE.read_text(), (CHART / "values.yaml").read_text()), "run `make docs`"


def test_each_value_is_listed_with_its_default_and_what_is_said_of_it() -> None:
    values = "# Apples.\na: 1\nb:\n  # Pears,\n  # and more.\n  c: {d: [x]}\n  e/f: true\n"
    assert list(rows(values)) == [
        ("a", "1", "Apples."),
        ("b.c", '{"d": ["x"]}', "Pears, and more."),
        ("b.e/f", "true", ""),
    ]


def asked(gateway: int, closed: int) -> subprocess.CompletedProcess[str]:
    """The program of `helm test`, with these ports of loopback."""
    environ = {"GATEWAY": f"http://127.0.0.1:{gateway}/", "CLOSED": f"127.0.0.1:{closed}"}
    return subprocess.run(
        [sys.executable, "-S", str(CHART / "files" / "reach.py")],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_chart_is_content_when_neither_more_nor_less_than_the_gateway_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        program = subprocess.Popen(
            [sys.executable, "-S", str(CHART / "files" / "reach.py")],
            env={
                "GATEWAY": f"http://127.0.0.1:{gateway.getsockname()[1]}/",
                "CLOSED": f"127.0.0.1:{free_port()}",
            },
            stderr=subprocess.PIPE,
        )
        connection, _ = gateway.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.0 401 Unauthorized\r\n\r\n")
        _, said = program.communicate(timeout=30)
    assert (program.returncode, said) == (0, b"")


def test_the_chart_says_what_is_not_reached_and_what_should_not_be() -> None:
    with socket.create_server(("127.0.0.1", 0)) as credentials:
        done = asked(gateway=free_port(), closed=credentials.getsockname()[1])
    assert done.returncode == 1
    assert "is not reached" in done.stderr
    assert "127.0.0.1 is reached: is there a network plugin" in done.stderr
