mock_provider "google" {}

override_resource {
  target = google_compute_global_address.services
  values = { address = "10.80.0.0" }
}

run "google_is_reached_from_inside" {
  command = apply
  assert {
    condition     = google_compute_subnetwork.this.private_ip_google_access
    error_message = "Functions with internal ingress are reached through the subnet alone."
  }
  assert {
    condition     = google_service_networking_connection.services.service == "servicenetworking.googleapis.com"
    error_message = "Cloud SQL has its private address from there."
  }
}

run "agents_reach_nothing_inside" {
  command = apply
  assert {
    condition     = google_compute_firewall.fence.destination_ranges == toset(["10.20.0.0/22", "10.80.0.0/20"])
    error_message = "Neither the brokers, which are in the subnet, nor the database."
  }
  assert {
    condition     = contains(google_compute_firewall.fence.target_tags, output.fenced) && one(google_compute_firewall.fence.deny).protocol == "all"
    error_message = "What has the tag gets nowhere."
  }
}

run "a_subnet_too_small_is_refused" {
  command = plan
  variables {
    cidr = "10.0.0.0/28"
  }
  expect_failures = [var.cidr]
}

run "a_zone_is_no_region" {
  command = plan
  variables {
    region = "europe-west1-b"
  }
  expect_failures = [var.region]
}
