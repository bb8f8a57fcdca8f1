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
