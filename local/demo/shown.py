"""What the demo says."""

from __future__ import annotations

from rich.console import Console

console = Console(highlight=False)


class Disappointed(Exception):
    """Something that the demo promises was not seen."""


def step(text: str) -> None:
    console.print(f"\n[bold]▸ {text}[/]")


def kept(text: str) -> None:
    """A promise that was seen to be kept."""
    console.print(f"  [green]✔[/] {text}")
