# Nobody calls it and it asks for work itself: a worker pool, not a service.
resource "google_cloud_run_v2_worker_pool" "this" {
  project             = var.project
  location            = var.region
  name                = "${var.name}-dispatcher"
  deletion_protection = var.protected

  scaling {
    scaling_mode          = "MANUAL"
    manual_instance_count = var.instances
  }

  template {
    service_account = var.account

    containers {
      image   = var.image
      command = var.command
      args    = ["--port", "8080"] # for the probe alone: nobody else reaches it

      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/livez"
          port = 8080
        }
      }

      resources {
        limits = {
          cpu    = "1"
          memory = "512Mi"
        }
      }

      dynamic "env" {
        for_each = var.environment
        content {
          name  = env.key
          value = env.value
        }
      }
    }

    vpc_access {
      egress = "ALL_TRAFFIC"
      network_interfaces {
        network    = var.subnet.network
        subnetwork = var.subnet.subnet
      }
    }
  }
}
