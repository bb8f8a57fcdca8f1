resource "google_sql_database_instance" "this" {
  #checkov:skip=CKV_GCP_6:TLS is asked for; a certificate for each client would need keys that somebody has to keep, and who signs in is known by IAM
  #checkov:skip=CKV_GCP_79:the newest major version but one, looked after until 2029; a new one is taken when it has been tried
  #checkov:skip=CKV_GCP_108:looks up a name for each connection that comes; addresses of the network have none
  #checkov:skip=CKV_GCP_110:needs an extension that somebody makes by hand; functions' accounts can change no table, and what changes one is logged
  #checkov:skip=CKV2_GCP_13:a line for each of thousands of statements a minute; Query Insights keeps how long they take

  project             = var.project
  region              = var.region
  name                = var.name
  database_version    = "POSTGRES_17"
  deletion_protection = var.protected

  settings {
    tier                        = var.tier
    edition                     = "ENTERPRISE"
    availability_type           = var.highly_available ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = 10
    disk_autoresize             = true
    deletion_protection_enabled = var.protected

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "03:00"
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7
      backup_retention_settings {
        retained_backups = 14
      }
    }

    maintenance_window {
      day          = 7
      hour         = 4
      update_track = "stable"
    }

    insights_config {
      query_insights_enabled = true
    }

    database_flags {
      name  = "cloudsql.iam_authentication"
      value = "on"
    }

    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }

    database_flags {
      name  = "log_connections"
      value = "on"
    }

    database_flags {
      name  = "log_disconnections"
      value = "on"
    }

    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }

    database_flags {
      name  = "log_statement"
      value = "ddl" # who changed a table, and how
    }

    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }

    database_flags {
      name  = "log_temp_files"
      value = "0"
    }
  }
}

resource "google_sql_database" "this" {
  project  = var.project
  instance = google_sql_database_instance.this.name
  name     = "turnout"

  deletion_policy = "ABANDON" # likewise: not while somebody has it open (access.tf)
}
