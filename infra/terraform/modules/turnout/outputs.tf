output "webhook_url" {
  description = "Where GitHub sends its deliveries."
  value       = local.urls["webhook"]
}

output "console_url" {
  description = "Where people look."
  value       = local.urls["console"]
}

output "migrate" {
  description = "Changes the database's tables, before the functions of a new version are there, and the first time."
  value       = "gcloud run jobs execute ${google_cloud_run_v2_job.migrate.name} --project=${var.project} --region=${var.region} --wait"
}

output "images" {
  description = "For `make images REGISTRY=… PUSH=1`."
  value       = module.artifacts.images
}

output "secrets" {
  description = "Secrets that need a value: gcloud secrets versions add NAME --data-file=-"
  value       = sort(values(module.secrets.ids))
}

output "github" {
  description = "What to enter in the GitHub App's settings."
  value       = <<-END
    Webhook URL:      ${local.urls["webhook"]}
    Webhook secret:   the value that you put into ${var.name}-webhook-secret
    Content type:     application/json
    Callback URL:     ${local.urls["console"]}/sign-in/github/callback
    Write:            checks, deployments, pull requests, issues
    Read:             metadata, contents, the organisation's members
    Events:           push, pull request, repository dispatch, check run, check suite, issue comment
  END
}
