mock_provider "google" {}

run "buckets_are_closed" {
  command = apply
  assert {
    condition     = google_storage_bucket.artifacts.public_access_prevention == "enforced" && google_storage_bucket.sources.public_access_prevention == "enforced"
    error_message = "Nobody can open them by mistake."
  }
  assert {
    condition     = !google_storage_bucket.artifacts.force_destroy
    error_message = "Artifacts are not destroyed with the rest."
  }
  assert {
    condition     = output.images == "europe-west1-docker.pkg.dev/acme-turnout/turnout"
    error_message = "As images are named."
  }
}

run "keeping_nothing_is_refused" {
  command = plan
  variables {
    keep_days = 0
  }
  expect_failures = [var.keep_days]
}
