from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from agents.sdk.untar import untar


def packed(*entries: tuple[str, bytes, str]) -> tarfile.TarFile:
    """Name, kind, and where a link leads."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, kind, to in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = kind, to, 0o6777
            tar.addfile(entry)
    archive.seek(0)
    return tarfile.open(fileobj=archive)


@pytest.fixture(params=["as this Python has it", "without Python's own filter"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param.startswith("without"):
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        monkeypatch.setattr(tarfile.TarFile, "extraction_filter", None, raising=False)


@pytest.mark.filterwarnings("ignore:Python 3.14:DeprecationWarning")
def test_files_folders_and_links_within_are_unpacked(either: None, tmp_path: Path) -> None:
    untar(
        packed(("a", tarfile.DIRTYPE, ""), ("a/b", tarfile.REGTYPE, ""), ("a/c", tarfile.SYMTYPE, "../a/b")),
        tmp_path,
    )
    assert (tmp_path / "a/b").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "a/c").resolve() == tmp_path / "a/b"


@pytest.mark.parametrize(
    "entry",
    [
        ("../out", tarfile.REGTYPE, ""),
        ("in", tarfile.SYMTYPE, "../out"),
        ("in", tarfile.SYMTYPE, "/etc/passwd"),
        ("in", tarfile.LNKTYPE, "../out"),
        ("in", tarfile.CHRTYPE, ""),
    ],
)
def test_what_leads_out_is_refused(either: None, entry: tuple[str, bytes, str], tmp_path: Path) -> None:
    with pytest.raises(tarfile.TarError):
        untar(packed(entry), tmp_path / "inside")
    assert not (tmp_path / "out").exists()
