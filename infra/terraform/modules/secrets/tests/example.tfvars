name    = "turnout"
project = "acme-turnout"
readers = { webhook-secret = { webhook = "turnout-webhook@acme-turnout.iam.gserviceaccount.com" } }
