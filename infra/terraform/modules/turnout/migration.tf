# Changes the database's tables and opens them to the functions, which answer 503 until it has: `turnout migrate`. It is
# started by whoever updates (docs/deploy-gcp.md).
resource "google_cloud_run_v2_job" "migrate" {
  project             = var.project
  location            = var.region
  name                = "${var.name}-migrate"
  deletion_protection = var.protected

  template {
    task_count = 1

    template {
      max_retries     = 0 # it waits for the database by itself
      timeout         = "3600s"
      service_account = local.emails["migrator"]

      containers {
        image   = "${module.artifacts.images}/turnout:${var.image_tag}"
        command = ["turnout", "migrate"]

        dynamic "env" {
          for_each = {
            TURNOUT_HOME              = "/tmp/turnout"
            TURNOUT_DATABASE_URL      = module.state.urls["migrator"]
            TURNOUT_DATABASE_IDENTITY = "google"
            TURNOUT_DATABASE_ROLES    = join(",", module.state.roles)
          }
          content {
            name  = env.key
            value = env.value
          }
        }
      }

      vpc_access {
        egress = "ALL_TRAFFIC"
        network_interfaces {
          network    = local.subnet.network
          subnetwork = local.subnet.subnet
        }
      }
    }
  }
}
