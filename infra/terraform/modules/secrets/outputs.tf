output "ids" {
  description = "Secret to its id in Secret Manager, once those who need it may read it."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.secret_id }
  depends_on  = [google_secret_manager_secret_iam_member.reader]
}
