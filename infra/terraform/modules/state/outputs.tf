output "urls" {
  description = "Account to its TURNOUT_DATABASE_URL. No password is in it: the account's access token is one."
  value = {
    for name, user in google_sql_user.this : name =>
    "postgresql+psycopg://${urlencode(user.name)}@${google_sql_database_instance.this.private_ip_address}/${google_sql_database.this.name}?sslmode=require"
  }
}

output "roles" {
  description = "For TURNOUT_DATABASE_ROLES: the parts that the tables are opened to, and what the database calls them."
  value       = [for name, user in google_sql_user.this : "${name}=${user.name}" if name != var.owner]
}

output "instance" {
  description = "Name of the instance."
  value       = google_sql_database_instance.this.name
}
