resource "google_storage_bucket_object" "source" {
  bucket = var.sources
  name   = "${var.function}-${filesha256(var.package)}.zip" # another name is a new build
  source = var.package
}

resource "google_cloudfunctions2_function" "this" {
  #checkov:skip=CKV_GCP_124:the webhook and the console are for the internet, and look at who is calling; tests hold the others to internal ingress

  project  = var.project
  location = var.region
  name     = "${var.name}-${var.function}"

  build_config {
    runtime           = "python311"
    entry_point       = var.function
    docker_repository = var.repository
    service_account   = "projects/${var.project}/serviceAccounts/${var.builder}"

    source {
      storage_source {
        bucket = var.sources
        object = google_storage_bucket_object.source.name
      }
    }
    automatic_update_policy {}

    # the build compiles our modules by their files' times, and its image then changes those: with this, by their content
    environment_variables = { SOURCE_DATE_EPOCH = "315532801" }
  }

  service_config {
    service_account_email            = var.account
    available_cpu                    = var.size.cpu
    available_memory                 = var.size.memory
    max_instance_request_concurrency = var.size.concurrency
    min_instance_count               = var.size.least
    max_instance_count               = var.size.most
    timeout_seconds                  = var.size.timeout
    ingress_settings                 = var.public ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision   = true

    direct_vpc_egress = "VPC_EGRESS_ALL_TRAFFIC" # a function with internal ingress is reached in no other way
    direct_vpc_network_interface {
      network    = var.subnet.network
      subnetwork = var.subnet.subnet
    }

    environment_variables = merge(var.environment, {
      THREADS          = tostring(var.size.concurrency)
      LOG_EXECUTION_ID = "true"
    })

    dynamic "secret_environment_variables" {
      for_each = var.secrets
      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = secret_environment_variables.value.id
        version    = secret_environment_variables.value.version
      }
    }
  }
}
