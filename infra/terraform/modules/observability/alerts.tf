resource "google_monitoring_alert_policy" "this" {
  for_each              = local.alerts
  project               = var.project
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = each.value.title
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = "${each.value.minutes * 60}s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
      }
    }
  }

  documentation {
    content   = each.value.says
    mime_type = "text/markdown"
  }
}

# Nothing else tells of a scheduler that stopped calling.
resource "google_monitoring_alert_policy" "silent" {
  project               = var.project
  display_name          = "${var.name}: The sweeper is not called"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  conditions {
    display_name = "The sweeper is not called"
    condition_absent {
      filter   = "${local.request} AND ${local.of["sweeper"]}"
      duration = "600s"
      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_DELTA"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content   = "Retries, deadlines and lost attempts wait for it. Is the scheduler's job paused?"
    mime_type = "text/markdown"
  }
}
