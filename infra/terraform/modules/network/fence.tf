# Agents run the code of repositories. It reaches the internet, and through it the gateway; the brokers and the database,
# which would not let it in, it does not reach at all.
resource "google_compute_firewall" "fence" {
  project     = var.project
  name        = "${var.name}-fence"
  network     = google_compute_network.this.id
  description = "Agents reach nothing in the network"
  direction   = "EGRESS"
  target_tags = [local.fenced]
  destination_ranges = [
    var.cidr,
    "${google_compute_global_address.services.address}/${google_compute_global_address.services.prefix_length}",
  ]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "EXCLUDE_ALL_METADATA"
  }
}

locals {
  fenced = "${var.name}-fenced"
}
