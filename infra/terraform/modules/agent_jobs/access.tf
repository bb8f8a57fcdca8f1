# What docs/runtimes-google.md names, and no more: roles/run.developer could change what runs.
resource "google_project_iam_custom_role" "launcher" {
  project     = var.project
  role_id     = "${replace(var.name, "-", "_")}_launcher"
  title       = "Turnout: start, watch and stop jobs"
  description = "Runs the jobs that are there, with variables and a time of its own; makes and changes none."
  permissions = [
    "run.executions.cancel",
    "run.executions.get",
    "run.executions.list",
    "run.jobs.get",
    "run.jobs.run",
    "run.jobs.runWithOverrides",
    "run.operations.get",
    "run.tasks.list",
  ]
}

locals {
  pairs = merge([
    for agent in keys(var.agents) : {
      for launcher, email in var.launchers : "${agent} ${launcher}" => { agent = agent, email = email }
    }
  ]...)
}

resource "google_cloud_run_v2_job_iam_member" "launcher" {
  for_each = local.pairs
  project  = var.project
  location = var.region
  name     = google_cloud_run_v2_job.this[each.value.agent].name
  role     = "projects/${var.project}/roles/${google_project_iam_custom_role.launcher.role_id}"
  member   = "serviceAccount:${each.value.email}"
}
