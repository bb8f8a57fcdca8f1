"""Labels of an image."""

from __future__ import annotations

from agents.build.labels import labels
from turnout.core.messages import Checkout

P = "org.opencontainers.image."


def checkout(clone_url: str = "https://github.com/o/r.git", tag: str = "") -> Checkout:
    return Checkout(repository="o/r", clone_url=clone_url, sha="a" * 40, ref="refs/heads/main", tag=tag)


def test_a_commit_has_the_same_labels_whenever_it_is_built() -> None:
    assert labels(checkout(tag="v1.2.3"), 1_700_000_000, {"team": "shop"}) == {
        f"{P}created": "2023-11-14T22:13:20Z",
        f"{P}revision": "a" * 40,
        f"{P}source": "https://github.com/o/r",
        f"{P}version": "1.2.3",
        "team": "shop",
    }


def test_a_password_in_the_clone_address_is_in_no_label() -> None:
    said = labels(checkout("https://user:secret@example.org/o/r.git?x=secret"), 1, {})
    assert "secret" not in str(said)
    assert (
        labels(checkout("https://user:secret@example.org/o/r"), 1, {})[f"{P}source"]
        == "https://example.org/o/r"
    )


def test_a_repository_without_a_page_is_called_by_its_name() -> None:
    assert labels(checkout("/srv/git/r.git"), 1, {})[f"{P}source"] == "o/r"


def test_the_pipeline_file_can_say_more_but_not_what_was_built() -> None:
    said = labels(checkout(), 1, {f"{P}revision": "b" * 40, f"{P}source": "https://example.org/mirror"})
    assert said[f"{P}revision"] == "a" * 40
    assert said[f"{P}source"] == "https://example.org/mirror"


def test_a_time_that_is_not_known_is_not_made_up() -> None:
    assert f"{P}created" not in labels(checkout(), None, {})
