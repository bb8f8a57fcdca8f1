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

run "a_topic_that_all_may_write_is_refused" {
  command = plan
  variables {
    topics = { x = { partitions = 1, retention = 3600, writers = {}, readers = {}, observers = {} } }
  }
  expect_failures = [var.topics]
}
