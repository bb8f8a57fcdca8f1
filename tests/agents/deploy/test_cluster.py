from __future__ import annotations

from pathlib import Path

from agents.deploy.cluster import Cluster
from agents.deploy.kubeconfig import Access
from tests.agents.workspace import PlainWorkspace

ACCESS = Access("", "https://cluster.example.org", "shop", ("KUBECONFIG",))


def test_a_link_in_the_place_of_the_folder_for_files_leads_nowhere(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path / "attempt")
    outside = tmp_path / "outside"
    outside.mkdir()
    (workspace.scratch / "deploy").symlink_to(outside)
    path = Cluster(workspace, ACCESS, "shop", {}).write("manifests.yaml", "kind: X")
    assert path.read_text() == "kind: X"
    assert list(outside.iterdir()) == []
    assert not (workspace.scratch / "deploy").is_symlink()


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path / "attempt")
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    cluster = Cluster(workspace, ACCESS, "shop", {})
    cluster.write("manifests.yaml", "kind: X").unlink()
    (workspace.scratch / "deploy/manifests.yaml").symlink_to(outside)
    assert cluster.write("manifests.yaml", "kind: Y").read_text() == "kind: Y"
    assert outside.read_text() == "as it was"
