output "name" {
  description = "Name of the function, and of the Cloud Run service that it is."
  value       = google_cloudfunctions2_function.this.name
}

output "url" {
  description = "Where it is called."
  value       = google_cloudfunctions2_function.this.service_config[0].uri
}
