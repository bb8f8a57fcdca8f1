"""Stand-ins of Google's services on loopback: Cloud Run jobs, Cloud Build, and what of Cloud Storage a build needs."""
