output "webhook_url" {
  description = "Where GitHub sends its deliveries."
  value       = module.turnout.webhook_url
}

output "console_url" {
  description = "Where people look."
  value       = module.turnout.console_url
}

output "github" {
  description = "What to enter in the GitHub App's settings."
  value       = module.turnout.github
}

output "migrate" {
  description = "Changes the database's tables: before an update, and the first time."
  value       = module.turnout.migrate
}

output "images" {
  description = "For `make images REGISTRY=… PUSH=1`."
  value       = module.turnout.images
}

output "secrets" {
  description = "Secrets that need a value."
  value       = module.turnout.secrets
}
