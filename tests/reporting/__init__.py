"""What people are told, and that they are told once."""
