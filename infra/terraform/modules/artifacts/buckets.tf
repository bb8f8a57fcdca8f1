# Google's own keys encrypt both. Keys of one's own cost, and lock out who loses them; nothing here is made safer by them
# that its lists of who may read do not keep safe.

# The functions' sources, a zip each: `terraform apply` uploads them, Cloud Build reads them.
#trivy:ignore:GCP-0066 Google's own keys, see above
resource "google_storage_bucket" "sources" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs have who read and wrote what (modules/turnout/audit.tf)

  project                     = var.project
  location                    = var.region
  name                        = "${var.project}-${var.name}-sources"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 3
      with_state         = "ARCHIVED"
    }
  }
}

resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.sources.name
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${var.builder}"
}

# What runs leave behind: logs, reports, artifacts.
#trivy:ignore:GCP-0066 Google's own keys, see above
#trivy:ignore:GCP-0078 objects are written once, under names that hold their digest or attempt, and are to go when they are old
resource "google_storage_bucket" "artifacts" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs have who read and wrote what (modules/turnout/audit.tf)
  #checkov:skip=CKV_GCP_78:objects are written once, under names that hold their digest or attempt, and are to go when they are old

  project                     = var.project
  location                    = var.region
  name                        = "${var.project}-${var.name}-artifacts"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.protected

  versioning {
    enabled = false
  }

  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
    condition {
      age = 30
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = var.keep_days
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }
}

resource "google_storage_bucket_iam_member" "user" {
  for_each = var.users
  bucket   = google_storage_bucket.artifacts.name
  role     = "roles/storage.objectUser"
  member   = "serviceAccount:${each.value}"
}
