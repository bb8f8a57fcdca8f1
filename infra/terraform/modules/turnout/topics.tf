# Who may do what to which topic. The topics themselves come from turnout/core/topics.py (`make docs` writes topics.json).
locals {
  table = jsondecode(file("${path.module}/../../topics.json"))

  outbox = ["orchestrator", "sweeper", "console"] # publish what is decided; the console puts dead letters back
  writers = {
    "pipeline.events" = concat(["webhook"], local.outbox)
    "agent.results"   = concat(["gateway"], local.outbox)
    "agent.logs"      = ["gateway"]
    "pipeline.dlq"    = ["dispatcher", "console"]
  }
  unread = ["agent.logs", "pipeline.dlq"] # by the dispatcher
  observers = {
    cluster = ["dispatcher"]                       # nobody needs to; the list has to have somebody on it
    topics  = ["dispatcher", "console", "sweeper"] # the dispatcher would try to make a topic that it can't see
    groups  = ["console", "sweeper"]               # how far the dispatcher is behind
  }

  topics = {
    for name, topic in local.table : name => {
      partitions = topic.partitions
      retention  = topic.retention_seconds
      writers    = { for part in lookup(local.writers, name, local.outbox) : part => local.emails[part] }
      readers = {
        for part in concat(contains(local.unread, name) ? [] : ["dispatcher"], name == "pipeline.dlq" ? ["console"] : []) :
        part => local.emails[part]
      }
    }
  }
}

module "kafka" {
  source     = "../kafka"
  name       = var.name
  project    = var.project
  region     = var.region
  subnet     = module.network.subnet
  vcpus      = var.sizes.kafka_vcpus
  memory_gib = var.sizes.kafka_memory_gib
  topics     = local.topics
  groups     = { functions = { dispatcher = local.emails["dispatcher"] } }
  observers  = { for what, parts in local.observers : what => { for part in parts : part => local.emails[part] } }
  clients    = { for part in ["webhook", "gateway", "orchestrator", "sweeper", "console", "dispatcher"] : part => local.emails[part] }
}
