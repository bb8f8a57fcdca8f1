mock_provider "google" {}

run "a_pool_of_its_own_size" {
  command = apply
  assert {
    condition     = google_cloud_run_v2_worker_pool.this.scaling[0].manual_instance_count == 1
    error_message = "Nobody scales it but us."
  }
  assert {
    condition     = google_cloud_run_v2_worker_pool.this.deletion_protection
    error_message = "It is not destroyed by mistake."
  }
}

run "more_than_there_are_partitions_is_refused" {
  command = plan
  variables {
    instances = 7
  }
  expect_failures = [var.instances]
}

run "an_image_that_changes_is_refused" {
  command = plan
  variables {
    image = "europe-west1-docker.pkg.dev/acme/turnout/turnout:latest"
  }
  expect_failures = [var.image]
}
