output "images" {
  description = "What images' names begin with."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "repository" {
  description = "Id of the repository of images."
  value       = google_artifact_registry_repository.images.id
}

output "sources" {
  description = "Name of the bucket of the functions' sources."
  value       = google_storage_bucket.sources.name
  depends_on  = [google_storage_bucket_iam_member.builder]
}

output "artifacts" {
  description = "Name of the bucket of logs and artifacts."
  value       = google_storage_bucket.artifacts.name
}
