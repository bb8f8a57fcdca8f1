mock_provider "google" {}

run "each_alert_reaches_somebody" {
  command = apply
  assert {
    condition     = length(output.alerts) == 6
    error_message = "Six things to be told about."
  }
  assert {
    condition     = alltrue([for each in google_monitoring_alert_policy.this : length(each.notification_channels) == 1])
    error_message = "An alert that reaches nobody is none."
  }
  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles) == 6
    error_message = "Six charts."
  }
}

run "nobody_to_tell_is_refused" {
  command = plan
  variables {
    emails = []
  }
  expect_failures = [var.emails]
}
