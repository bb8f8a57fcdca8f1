# Small, and may be destroyed again. A project of its own.
provider "google" {
  project = var.project
  region  = var.region
}

module "turnout" {
  source           = "../../modules/turnout"
  project          = var.project
  project_number   = var.project_number
  region           = var.region
  packages         = var.packages
  image_tag        = var.image_tag
  github_app       = var.github_app
  admins           = var.admins
  alert_emails     = var.alert_emails
  optional_secrets = var.optional_secrets
  secret_versions  = var.secret_versions
  settings         = var.settings

  name      = "turnout-dev"
  protected = false
  sizes = {
    database_tier       = "db-f1-micro"
    most                = 3
    keep_artifacts_days = 14
  }
}
