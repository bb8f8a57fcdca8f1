name    = "turnout"
project = "acme-turnout"
region  = "europe-west1"
users   = { gateway = "turnout-gateway@acme-turnout.iam.gserviceaccount.com" }
builder = "turnout-builder@acme-turnout.iam.gserviceaccount.com"
