"""What is installed: is it what the lock says, is every file as it was installed, and is there nothing besides?

Source: PyPA's "Recording installed projects" (RECORD), PEP 552 (what a .pyc begins with).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import marshal
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from local.setup.locks import Pin

LARGEST_SOURCE = 4 << 20  # bytes; a module that is larger is data
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_PYTEST = re.compile(r"-pytest-[\d.]+\.pyc$")
_MARKED = 16  # bytes before a .pyc's code


def version_problems(site: Path, pins: list[Pin], own: frozenset[str]) -> list[str]:
    """``own``: distributions that are the project itself."""
    wanted = {pin.name: pin.version for pin in pins if pin.needed}
    there = dict(_distributions(site))
    problems = [
        f"{name} {there[name]} is installed, the lock says {version}"
        if name in there
        else f"{name} is not installed"
        for name, version in sorted(wanted.items())
        if there.get(name) != version
    ]
    return problems + [
        f"{name} {version} is installed, and not in the lock"
        for name, version in sorted(there.items())
        if name not in wanted and name not in own
    ]


def _distributions(site: Path) -> Iterator[tuple[str, str]]:
    for folder in site.glob("*.dist-info"):
        head = (folder / "METADATA").read_text("utf-8", "replace").partition("\n\n")[0]
        said = {
            key.lower(): value.strip()
            for key, _, value in (line.partition(":") for line in head.splitlines())
            if key.lower() in ("name", "version")
        }
        yield str(canonicalize_name(said.get("name", folder.name))), said.get("version", "")


def file_problems(site: Path) -> list[str]:
    """Files that are not as RECORD has them, that are gone, or that no RECORD knows: those are imported, too."""
    root = site.resolve()
    known: set[Path] = set()
    problems: list[str] = []
    for record in sorted(root.glob("*.dist-info/RECORD")):
        with record.open(newline="", encoding="utf-8") as lines:
            for row in csv.reader(lines):
                path = _normal(root / row[0])
                known.add(path)
                digest = row[1] if len(row) > 1 else ""
                if (problem := _compare(path, digest)) and not _trusts_as_the_machine(path, row):
                    problems.append(f"{record.parent.name}: {row[0]} {problem}")
        known |= {record, record.with_name("INSTALLER"), record.with_name("REQUESTED")}
    for path in sorted(root.rglob("*")):
        if not path.is_dir() and path not in known:
            if path.suffix == ".pyc" and path.parent.name == "__pycache__":
                problems += _bytecode(path, known, root)
            else:
                problems.append(f"{path.relative_to(root)} belongs to no distribution")
    return problems


def _normal(path: Path) -> Path:
    """Without ``..``; links are left, they are what was installed."""
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def _compare(path: Path, digest: str) -> str:
    if not digest:
        return ""  # RECORD itself, and what is made when it is installed
    kind, _, expected = digest.partition("=")
    try:
        content = path.read_bytes()
    except OSError:
        return "is gone"
    found = base64.urlsafe_b64encode(hashlib.new(kind, content).digest()).rstrip(b"=").decode()
    return "" if found == expected else "is not as it was installed"


def _trusts_as_the_machine(path: Path, row: list[str]) -> bool:
    """Whether it is the list of certificate authorities with some added that this machine trusts anyway.

    Administrators of machines behind a proxy add its authority to every list they find.
    """
    if path.parts[-2:] != ("certifi", "cacert.pem") or not path.is_file() or not row[2].isdecimal():
        return False
    content, size = path.read_bytes(), int(row[2])
    kind, _, expected = row[1].partition("=")
    original = base64.urlsafe_b64encode(hashlib.new(kind, content[:size]).digest()).rstrip(b"=").decode()
    machines = Path(ssl.get_default_verify_paths().openssl_cafile)
    known = [machines, Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt")]
    trusted = {each for store in known if store.is_file() for each in _certificates(store.read_bytes())}
    added = _certificates(content[size:])
    left = re.sub(_CERTIFICATE, b"", content[size:]).strip()
    return original == expected and not left and set(added) <= trusted


def _certificates(content: bytes) -> list[bytes]:
    return [b"".join(each.split()) for each in re.findall(_CERTIFICATE, content)]


def _bytecode(path: Path, known: set[Path], root: Path) -> list[str]:
    """Compiled code is run in place of its source, so it has to be what compiling that makes.

    What pytest has made of a plugin is removed: nobody else can make it, and pytest makes it anew.
    """
    name = str(path.relative_to(root))
    if _PYTEST.search(path.name):
        path.unlink()
        return []
    ours = f".{importlib.util.cache_from_source('x.py').rpartition('x.')[2]}"
    # the standard library takes a dot in a file's name for a level of optimisation
    if path.name.endswith(ours):
        source = path.parent.parent / f"{path.name.removesuffix(ours)}.py"
    else:
        try:
            source = Path(importlib.util.source_from_cache(str(path)))
        except ValueError:
            return [f"{name} is no compiled module"]
    if source not in known:
        return [f"{name} has no source that was installed"]
    if not path.name.endswith(ours):
        return []  # another Python's, or another level of optimisation: not read by this one
    content = path.read_bytes()
    if content[:4] != importlib.util.MAGIC_NUMBER or source.stat().st_size > LARGEST_SOURCE:
        return []  # not read either
    try:
        there = marshal.loads(content[_MARKED:])  # noqa: S302 - the interpreter would do the same on its next import
        same = there == compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
    except (ValueError, EOFError, TypeError, SyntaxError):
        same = False
    return [] if same else [f"{name} is not what its source compiles to"]
