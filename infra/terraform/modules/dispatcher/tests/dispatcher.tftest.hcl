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
  assert {
    condition     = contains(google_cloud_run_v2_worker_pool.this.template[0].containers[0].args, tostring(google_cloud_run_v2_worker_pool.this.template[0].containers[0].liveness_probe[0].http_get[0].port))
    error_message = "It tells its health where it is asked for it."
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
