mock_provider "google" {}

run "the_database_is_private_and_knows_no_password" {
  command = apply
  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ipv4_enabled == false
    error_message = "No public address."
  }
  assert {
    condition     = google_sql_database_instance.this.settings[0].ip_configuration[0].ssl_mode == "ENCRYPTED_ONLY"
    error_message = "Nothing goes in clear."
  }
  assert {
    condition     = google_sql_user.this["webhook"].name == "turnout-webhook@acme-turnout.iam"
    error_message = "As Cloud SQL calls a service account."
  }
  assert {
    condition     = alltrue([for user in google_sql_user.this : user.type == "CLOUD_IAM_SERVICE_ACCOUNT"])
    error_message = "All sign in by identity."
  }
  assert {
    condition     = strcontains(output.urls["webhook"], "turnout-webhook%40acme-turnout.iam@")
    error_message = "The address names the account, and no password."
  }
}

run "one_account_makes_the_tables" {
  command = apply
  assert {
    condition     = [for name, user in google_sql_user.this : name if length(coalesce(user.database_roles, [])) > 0] == ["migrator"]
    error_message = "And no other may."
  }
  assert {
    condition     = output.roles == ["webhook=turnout-webhook@acme-turnout.iam"]
    error_message = "They are opened to the others, each by its name."
  }
}

run "an_owner_that_is_no_user_is_refused" {
  command = plan
  variables {
    owner = "nobody"
  }
  expect_failures = [var.owner]
}

run "a_tier_that_is_none_is_refused" {
  command = plan
  variables {
    tier = "n1-standard-1"
  }
  expect_failures = [var.tier]
}
