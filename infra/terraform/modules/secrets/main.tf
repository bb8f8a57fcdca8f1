# The places for secrets, without their values: those never pass through Terraform, nor stand in its state.
resource "google_secret_manager_secret" "this" {
  for_each  = var.readers
  project   = var.project
  secret_id = "${var.name}-${each.key}"

  replication {
    auto {}
  }
}

locals {
  pairs = merge([
    for secret, readers in var.readers : {
      for reader, email in readers : "${secret} ${reader}" => { secret = secret, email = email }
    }
  ]...)
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each  = local.pairs
  project   = var.project
  secret_id = google_secret_manager_secret.this[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${each.value.email}"
}
