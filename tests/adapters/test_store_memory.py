"""The store in memory answers as the others do."""

from __future__ import annotations

import pytest

from tests.contracts.store import OutboxContract
from turnout.adapters.memory_store import MemoryStore


class TestMemoryStore(OutboxContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
