"""A real Terraform on this machine, and a stand-in for the provider of Google Cloud with the real one's schema."""
