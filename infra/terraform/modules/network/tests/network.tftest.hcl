mock_provider "google" {}

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
