name             = "turnout"
project          = "acme-turnout"
region           = "europe-west1"
network          = "projects/acme-turnout/global/networks/turnout"
tier             = "db-custom-1-3840"
highly_available = false
users = {
  webhook  = "turnout-webhook@acme-turnout.iam.gserviceaccount.com"
  migrator = "turnout-migrator@acme-turnout.iam.gserviceaccount.com"
}
owner = "migrator"
