# Signing in is Google's to allow; what an account may do then, the brokers' own lists say.
resource "google_project_iam_member" "client" {
  for_each = var.clients
  project  = var.project
  role     = "roles/managedkafka.client"
  member   = "serviceAccount:${each.value}"
}

# What has no list is open to everybody who signs in. So the cluster has one, as well as all topics and all groups
# together: nobody makes topics, changes settings, or reads as a group of their own.
locals {
  closed = {
    cluster           = var.observers.cluster
    allTopics         = var.observers.topics
    allConsumerGroups = var.observers.groups
  }
}

resource "google_managed_kafka_acl" "closed" {
  for_each = local.closed
  project  = var.project
  location = var.region
  cluster  = google_managed_kafka_cluster.this.cluster_id
  acl_id   = each.key

  dynamic "acl_entries" {
    for_each = each.value
    content {
      principal       = "User:${acl_entries.value}"
      operation       = "DESCRIBE"
      permission_type = "ALLOW"
      host            = "*"
    }
  }
}

# WRITE and READ hold DESCRIBE.
resource "google_managed_kafka_acl" "topic" {
  for_each = var.topics
  project  = var.project
  location = var.region
  cluster  = google_managed_kafka_cluster.this.cluster_id
  acl_id   = "topic/${google_managed_kafka_topic.this[each.key].topic_id}"

  dynamic "acl_entries" {
    for_each = concat(
      [for name, email in each.value.writers : { email = email, operation = "WRITE" }],
      [for name, email in each.value.readers : { email = email, operation = "READ" }],
    )
    content {
      principal       = "User:${acl_entries.value.email}"
      operation       = acl_entries.value.operation
      permission_type = "ALLOW"
      host            = "*"
    }
  }
}

resource "google_managed_kafka_acl" "group" {
  for_each = var.groups
  project  = var.project
  location = var.region
  cluster  = google_managed_kafka_cluster.this.cluster_id
  acl_id   = "consumerGroup/${each.key}"

  dynamic "acl_entries" {
    for_each = each.value
    content {
      principal       = "User:${acl_entries.value}"
      operation       = "READ"
      permission_type = "ALLOW"
      host            = "*"
    }
  }
}
