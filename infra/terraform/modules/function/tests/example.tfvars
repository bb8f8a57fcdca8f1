name    = "turnout"
project = "acme-turnout"
region  = "europe-west1"
subnet = {
  network = "projects/acme-turnout/global/networks/turnout"
  subnet  = "projects/acme-turnout/regions/europe-west1/subnetworks/turnout"
}
function   = "webhook"
package    = "../../../../build/functions/webhook.zip"
sources    = "acme-turnout-turnout-sources"
repository = "projects/acme-turnout/locations/europe-west1/repositories/turnout"
builder    = "turnout-builder@acme-turnout.iam.gserviceaccount.com"
account    = "turnout-webhook@acme-turnout.iam.gserviceaccount.com"
size = {
  cpu         = "1"
  memory      = "512Mi"
  concurrency = 16
  least       = 0
  most        = 5
  timeout     = 30
}
environment = { TURNOUT_HOME = "/tmp/turnout" }
secrets     = { TURNOUT_WEBHOOK_SECRET = { id = "turnout-webhook-secret", version = "2" } }
public      = false
invokers    = { dispatcher = "serviceAccount:turnout-dispatcher@acme-turnout.iam.gserviceaccount.com" }
