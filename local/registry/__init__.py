"""A real registry of images on loopback, in a temporary directory."""
