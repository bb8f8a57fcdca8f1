mock_provider "google" {}

run "a_secret_is_read_by_who_needs_it_alone" {
  command = apply
  assert {
    condition     = keys(google_secret_manager_secret_iam_member.reader) == ["webhook-secret webhook"]
    error_message = "One reader."
  }
  assert {
    condition     = google_secret_manager_secret_iam_member.reader["webhook-secret webhook"].role == "roles/secretmanager.secretAccessor"
    error_message = "It may read, not change."
  }
}

run "a_name_that_is_none_is_refused" {
  command = plan
  variables {
    readers = { "Webhook secret" = {} }
  }
  expect_failures = [var.readers]
}
