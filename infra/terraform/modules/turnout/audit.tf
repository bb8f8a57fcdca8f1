# Who read which secret, and who read or wrote which object, in Cloud Audit Logs; what is changed is always there.
#trivy:ignore:GCP-0079 all services would be each record and each request: gigabytes that nobody reads
resource "google_project_iam_audit_config" "this" {
  for_each = {
    "secretmanager.googleapis.com" = ["DATA_READ"]
    "storage.googleapis.com"       = ["DATA_READ", "DATA_WRITE"]
  }
  project = var.project
  service = each.key

  dynamic "audit_log_config" {
    for_each = each.value
    content {
      log_type = audit_log_config.value
    }
  }
}
