from __future__ import annotations

from tests.cli.conftest import house, template

__all__ = ["house", "template"]
