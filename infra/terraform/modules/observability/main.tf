resource "google_monitoring_notification_channel" "email" {
  for_each     = var.emails
  project      = var.project
  type         = "email"
  display_name = "${var.name}: ${each.value}"
  labels = {
    email_address = each.value
  }
}

locals {
  request = "resource.type = \"cloud_run_revision\" AND metric.type = \"run.googleapis.com/request_count\""
  failed  = "${local.request} AND metric.labels.response_code_class = \"5xx\""
  lag     = "resource.type = \"managedkafka.googleapis.com/TopicPartitionConsumerGroup\" AND metric.type = \"managedkafka.googleapis.com/offset_lag\" AND resource.labels.cluster_id = \"${var.cluster}\""
  disk    = "resource.type = \"cloudsql_database\" AND metric.type = \"cloudsql.googleapis.com/database/disk/utilization\" AND resource.labels.database_id = \"${var.project}:${var.instance}\""

  of = { for function, service in var.functions : function => "resource.labels.service_name = \"${service}\"" }

  # Each holds for `minutes` before somebody is told.
  alerts = {
    webhook_fails = {
      title   = "The webhook refuses deliveries"
      says    = "GitHub's deliveries are answered with errors. Nothing is lost: the sweeper asks for them again, once the reason is gone. The function's log says why."
      filter  = "${local.failed} AND ${local.of["webhook"]}"
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", above = 0, minutes = 5, severity = "CRITICAL"
    }
    orchestrator_fails = {
      title   = "The orchestrator answers with errors"
      says    = "Records wait and are sent again. Most likely the database or the brokers are away; the function's log says which."
      filter  = "${local.failed} AND ${local.of["orchestrator"]}"
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", above = 0, minutes = 10, severity = "ERROR"
    }
    sweeper_fails = {
      title   = "The sweeper answers with errors"
      says    = "Retries, deadlines and lost attempts wait for it. The function's log says why."
      filter  = "${local.failed} AND ${local.of["sweeper"]}"
      aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", above = 0, minutes = 10, severity = "ERROR"
    }
    lag = {
      title   = "The dispatcher is behind"
      says    = "Records wait on a topic. Is the dispatcher's worker pool up, and do the functions answer?"
      filter  = local.lag
      aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", above = 500, minutes = 10, severity = "ERROR"
    }
    disk = {
      title   = "The database's disk is filling up"
      says    = "It grows by itself, but this is faster than it should be."
      filter  = local.disk
      aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", above = 0.85, minutes = 15, severity = "WARNING"
    }
  }
}
