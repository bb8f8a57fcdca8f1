name    = "turnout"
project = "acme-turnout"
region  = "europe-west1"
subnet  = "projects/acme-turnout/regions/europe-west1/subnetworks/turnout"
topics = {
  "pipeline.events" = {
    partitions = 6
    retention  = 604800
    writers    = { webhook = "turnout-webhook@acme-turnout.iam.gserviceaccount.com" }
    readers    = { dispatcher = "turnout-dispatcher@acme-turnout.iam.gserviceaccount.com" }
  }
}
groups = {
  functions = { dispatcher = "turnout-dispatcher@acme-turnout.iam.gserviceaccount.com" }
}
observers = {
  cluster = { dispatcher = "turnout-dispatcher@acme-turnout.iam.gserviceaccount.com" }
  topics  = { console = "turnout-console@acme-turnout.iam.gserviceaccount.com" }
  groups  = { console = "turnout-console@acme-turnout.iam.gserviceaccount.com" }
}
clients = { webhook = "turnout-webhook@acme-turnout.iam.gserviceaccount.com" }
