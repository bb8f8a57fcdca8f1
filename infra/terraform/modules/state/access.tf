resource "google_sql_user" "this" {
  for_each = var.users
  project  = var.project
  instance = google_sql_database_instance.this.name
  name     = trimsuffix(each.value, ".gserviceaccount.com") # as Cloud SQL calls a service account
  type     = "CLOUD_IAM_SERVICE_ACCOUNT"

  # PostgreSQL lets no role go that has rights or tables. With the instance, all are gone.
  deletion_policy = "ABANDON"

  # The others may do nothing before `turnout migrate` has opened the tables to them.
  database_roles = each.key == var.owner ? ["cloudsqlsuperuser"] : null
}

resource "google_project_iam_member" "login" {
  for_each = var.users
  project  = var.project
  role     = "roles/cloudsql.instanceUser"
  member   = "serviceAccount:${each.value}"

  condition {
    title      = "this database alone"
    expression = "resource.name == 'projects/${var.project}/instances/${google_sql_database_instance.this.name}' && resource.service == 'sqladmin.googleapis.com'"
  }
}
