output "alerts" {
  description = "What somebody is told about."
  value       = sort([for each in concat(values(google_monitoring_alert_policy.this), [google_monitoring_alert_policy.silent]) : each.display_name])
}
