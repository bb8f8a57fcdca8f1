# One account for each part. What each may do is said where the thing is that it does it to; docs/deploy-gcp.md has it
# all in one table.
resource "google_service_account" "this" {
  for_each     = toset(concat(keys(local.functions), ["dispatcher", "scheduler", "builder", "migrator"]))
  project      = var.project
  account_id   = "${var.name}-${each.key}"
  display_name = "Turnout: ${each.key}"
  depends_on   = [google_project_service.this]
}

locals {
  # Their addresses, written so that a plan can show them before there is any.
  emails = { for part, account in google_service_account.this : part => "${account.account_id}@${account.project}.iam.gserviceaccount.com" }
}

# The gateway signs the addresses that jobs put artifacts to, and has no key of its own: IAM signs, as itself alone.
resource "google_service_account_iam_member" "gateway" {
  service_account_id = "projects/${var.project}/serviceAccounts/${local.emails["gateway"]}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = "serviceAccount:${local.emails["gateway"]}"
}

# The builder makes images out of the functions' sources. It reads and writes those (modules/artifacts), and:
resource "google_project_iam_member" "builder" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = "serviceAccount:${local.emails["builder"]}"
}
