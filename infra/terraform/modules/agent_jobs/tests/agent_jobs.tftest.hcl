mock_provider "google" {}

run "a_job_is_tried_once_as_nobody" {
  command = apply
  assert {
    condition     = google_cloud_run_v2_job.this["lint"].template[0].template[0].max_retries == 0
    error_message = "Turnout counts the tries."
  }
  assert {
    condition     = google_cloud_run_v2_job.this["lint"].template[0].template[0].service_account == "turnout-agent@acme-turnout.iam.gserviceaccount.com"
    error_message = "The account without a role."
  }
  assert {
    condition     = output.pattern == "projects/acme-turnout/locations/europe-west1/jobs/turnout-{agent}"
    error_message = "As the launcher names jobs."
  }
}

run "the_firewall_knows_a_job" {
  command = apply
  assert {
    condition     = google_cloud_run_v2_job.this["lint"].template[0].template[0].vpc_access[0].network_interfaces[0].tags == tolist(["turnout-fenced"])
    error_message = "Without the tag, the code of repositories reaches the brokers and the database."
  }
}

run "the_launcher_cannot_change_jobs" {
  command = apply
  assert {
    condition     = length(setintersection(google_project_iam_custom_role.launcher.permissions, ["run.jobs.update", "run.jobs.create", "run.jobs.delete", "iam.serviceAccounts.actAs"])) == 0
    error_message = "It runs what is there."
  }
}

run "an_image_without_a_tag_is_refused" {
  command = plan
  variables {
    agents = { lint = { image = "europe-west1-docker.pkg.dev/acme/turnout/lint" } }
  }
  expect_failures = [var.agents]
}
