# Runs the code of repositories, so it has no role at all: a job holds its attempt's pass for the gateway, nothing else.
resource "google_service_account" "agent" {
  project      = var.project
  account_id   = "${var.name}-agent"
  display_name = "Turnout: agents, which may do nothing"
}

resource "google_cloud_run_v2_job" "this" {
  for_each            = var.agents
  project             = var.project
  location            = var.region
  name                = "${var.name}-${each.key}"
  deletion_protection = var.protected

  template {
    task_count = 1

    template {
      max_retries     = 0       # Turnout counts the tries
      timeout         = "3600s" # each launch says its own
      service_account = "${google_service_account.agent.account_id}@${var.project}.iam.gserviceaccount.com"

      containers {
        image = each.value.image
        resources {
          limits = {
            cpu    = each.value.cpu
            memory = each.value.memory
          }
        }
      }

      vpc_access {
        egress = "ALL_TRAFFIC" # the gateway is reached from the network alone
        network_interfaces {
          network    = var.subnet.network
          subnetwork = var.subnet.subnet
          tags       = [var.fenced]
        }
      }
    }
  }
}
