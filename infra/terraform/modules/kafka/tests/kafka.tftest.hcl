mock_provider "google" {}

run "records_are_kept_three_times_and_for_their_time" {
  command = apply
  assert {
    condition     = google_managed_kafka_topic.this["pipeline.events"].replication_factor == 3
    error_message = "One broker may go."
  }
  assert {
    condition     = google_managed_kafka_topic.this["pipeline.events"].configs["retention.ms"] == "604800000"
    error_message = "Seven days, in milliseconds."
  }
  assert {
    condition     = output.bootstrap == "bootstrap.turnout.europe-west1.managedkafka.acme-turnout.cloud.goog:9092"
    error_message = "As Google names it."
  }
}

run "who_writes_may_not_read" {
  command = apply
  assert {
    condition     = toset([for each in google_managed_kafka_acl.topic["pipeline.events"].acl_entries : each.operation if strcontains(each.principal, "turnout-webhook@")]) == toset(["WRITE"])
    error_message = "The webhook only writes."
  }
}

run "a_cluster_below_googles_least_is_refused" {
  command = plan
  variables {
    vcpus = 2
  }
  expect_failures = [var.vcpus]
}

run "whatever_has_no_list_of_its_own_is_closed" {
  command = apply
  assert {
    condition     = toset([for each in google_managed_kafka_acl.closed : each.acl_id]) == toset(["cluster", "allTopics", "allConsumerGroups"])
    error_message = "Otherwise everybody who signs in could make topics."
  }
  assert {
    condition     = alltrue(flatten([for each in google_managed_kafka_acl.closed : [for entry in each.acl_entries : entry.operation == "DESCRIBE"]]))
    error_message = "Whoever is on it looks, and does nothing else."
  }
}

run "a_list_of_nobody_is_refused" {
  command = plan
  variables {
    observers = { cluster = {}, topics = {}, groups = {} }
  }
  expect_failures = [var.observers]
}

run "a_topic_that_nobody_may_write_is_refused" {
  command = plan
  variables {
    topics = { x = { partitions = 1, retention = 3600, writers = {}, readers = {} } }
  }
  expect_failures = [var.topics]
}
