output "network" {
  description = "Id of the network, once Cloud SQL can be put into it."
  value       = google_compute_network.this.id
  depends_on  = [google_service_networking_connection.services]
}

output "subnet" {
  description = "Id of the subnet."
  value       = google_compute_subnetwork.this.id
}

output "fenced" {
  description = "The network tag of what may reach nothing in the network."
  value       = local.fenced
  depends_on  = [google_compute_firewall.fence]
}
