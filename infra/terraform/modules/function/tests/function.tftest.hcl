mock_provider "google" {}

run "a_function_is_closed_unless_it_is_public" {
  command = apply
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "Only the network reaches it."
  }
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].environment_variables["THREADS"] == "16"
    error_message = "As many threads as requests."
  }
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].secret_environment_variables[0].secret == "turnout-webhook-secret"
    error_message = "Its secret comes from Secret Manager."
  }
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].secret_environment_variables[0].version == "2"
    error_message = "In the version that is named."
  }
  assert {
    condition     = startswith(google_storage_bucket_object.source.name, "webhook-")
    error_message = "A new source has a new name."
  }
}

run "a_public_function_is_open" {
  command = apply
  variables {
    public = true
  }
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].ingress_settings == "ALLOW_ALL"
    error_message = "The internet reaches it."
  }
}

run "an_unknown_function_is_refused" {
  command = plan
  variables {
    function = "webhok"
  }
  expect_failures = [var.function]
}

run "a_package_that_is_not_there_is_refused" {
  command = plan
  variables {
    package = "nowhere/webhook.zip"
  }
  expect_failures = [var.package]
}

run "several_requests_on_a_part_of_a_cpu_are_refused" {
  command = plan
  variables {
    size = { cpu = "0.5", memory = "512Mi", concurrency = 2, least = 0, most = 1, timeout = 30 }
  }
  expect_failures = [var.size]
}

run "what_is_no_setting_is_refused" {
  command = plan
  variables {
    environment = { HOME = "/tmp" }
  }
  expect_failures = [var.environment]
}

run "the_latest_version_of_a_secret_is_refused" {
  command = plan
  variables {
    secrets = { TURNOUT_WEBHOOK_SECRET = { id = "turnout-webhook-secret", version = "latest" } }
  }
  expect_failures = [var.secrets]
}
