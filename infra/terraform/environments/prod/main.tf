# What a team relies on: a standby database, two dispatchers, warm functions where people wait.
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

  name      = "turnout"
  protected = true
  sizes = {
    kafka_memory_gib = 12
    database_tier    = "db-custom-2-7680"
    database_standby = true
    dispatcher       = 2
    warm             = 1
    most             = 20
  }
}
