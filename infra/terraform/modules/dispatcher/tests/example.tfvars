name    = "turnout"
project = "acme-turnout"
region  = "europe-west1"
subnet = {
  network = "projects/acme-turnout/global/networks/turnout"
  subnet  = "projects/acme-turnout/regions/europe-west1/subnetworks/turnout"
}
image       = "europe-west1-docker.pkg.dev/acme-turnout/turnout/turnout:4f2a90c1d3e5"
command     = ["turnout", "dispatcher"]
account     = "turnout-dispatcher@acme-turnout.iam.gserviceaccount.com"
environment = { TURNOUT_HOME = "/tmp/turnout" }
