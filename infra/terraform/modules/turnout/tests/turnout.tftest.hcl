mock_provider "google" {}

run "all_fits_together" {
  command = apply
  assert {
    condition     = output.webhook_url == "https://turnout-webhook-123456789012.europe-west1.run.app"
    error_message = "Known before anything is made."
  }
  assert {
    condition     = strcontains(output.github, output.webhook_url)
    error_message = "What to paste into GitHub names it."
  }
  assert {
    condition     = contains(output.secrets, "turnout-server-key")
    error_message = "The secrets that need a value are told."
  }
}

run "slack_is_there_when_it_is_asked_for" {
  command = apply
  variables {
    optional_secrets = ["slack-token", "slack-signing-secret"]
  }
  assert {
    condition     = contains(output.secrets, "turnout-slack-token")
    error_message = "Its token has a place."
  }
}

run "an_unknown_secret_is_refused" {
  command = plan
  variables {
    optional_secrets = ["slack"]
  }
  expect_failures = [var.optional_secrets]
}

run "the_projects_id_is_not_its_number" {
  command = plan
  variables {
    project_number = "acme-turnout"
  }
  expect_failures = [var.project_number]
}

run "the_latest_image_is_refused" {
  command = plan
  variables {
    image_tag = "latest"
  }
  expect_failures = [var.image_tag]
}

run "nobody_as_admin_is_refused" {
  command = plan
  variables {
    admins = []
  }
  expect_failures = [var.admins]
}

run "a_version_of_an_unknown_secret_is_refused" {
  command = plan
  variables {
    secret_versions = { webhook = "2" }
  }
  expect_failures = [var.secret_versions]
}

run "a_secret_in_the_open_is_refused" {
  command = plan
  variables {
    settings = { TURNOUT_SLACK_TOKEN = "xoxb-1" }
  }
  expect_failures = [var.settings]
}

run "mail_without_a_sender_is_refused" {
  command = plan
  variables {
    optional_secrets = ["smtp-url"]
  }
  expect_failures = [var.settings]
}
