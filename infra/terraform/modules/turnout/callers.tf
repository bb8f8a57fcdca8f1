# What calls the functions: the dispatcher for records, Cloud Scheduler for the sweeper.
module "dispatcher" {
  source    = "../dispatcher"
  name      = var.name
  project   = var.project
  region    = var.region
  image     = "${module.artifacts.images}/turnout:${var.image_tag}"
  command   = var.dispatcher_command
  account   = local.emails["dispatcher"]
  instances = var.sizes.dispatcher
  subnet    = local.subnet
  protected = var.protected
  environment = merge(local.kafka, {
    TURNOUT_HOME              = "/tmp/turnout"
    TURNOUT_FUNCTION_URLS     = jsonencode({ for function in ["orchestrator", "launcher", "reporter"] : function => local.urls[function] })
    TURNOUT_FUNCTION_IDENTITY = "google" # Cloud Run asks who calls
    TURNOUT_DISPATCHER_SWEEPS = "false"  # Cloud Scheduler does, below
  })
}

resource "google_cloud_scheduler_job" "sweep" {
  project          = var.project
  region           = var.region
  name             = "${var.name}-sweep"
  description      = "Fires what is due, finds what was lost, publishes what a crash left behind"
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "300s"

  retry_config {
    retry_count = 0 # the next minute's call does the same
  }

  http_target {
    http_method = "POST"
    uri         = local.urls["sweeper"]
    oidc_token {
      service_account_email = local.emails["scheduler"]
      audience              = local.urls["sweeper"]
    }
  }

  depends_on = [module.function]
}
