"""A Docker Engine of one's own, and the base that agents' images are built on where nothing can be pulled."""
