name    = "turnout"
project = "acme-turnout"
region  = "europe-west1"
