from tests.agents.real_parts import bubblewrap, machine, node

__all__ = ["bubblewrap", "machine", "node"]
