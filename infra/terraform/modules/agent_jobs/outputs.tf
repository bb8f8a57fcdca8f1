output "pattern" {
  description = "For TURNOUT_CLOUDRUN_JOBS."
  value       = "projects/${var.project}/locations/${var.region}/jobs/${var.name}-{agent}"
}

output "names" {
  description = "Agent to its job."
  value       = { for agent, job in google_cloud_run_v2_job.this : agent => job.name }
}
