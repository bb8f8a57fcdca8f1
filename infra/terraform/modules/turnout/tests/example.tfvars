name           = "turnout"
project        = "acme-turnout"
region         = "europe-west1"
project_number = "123456789012"
image_tag      = "4f2a90c1d3e5"
github_app = {
  id        = "12345"
  client_id = "Iv1.0123456789abcdef"
}
admins       = ["ada"]
alert_emails = ["ops@example.org"]
packages     = "../../../../build/functions"
