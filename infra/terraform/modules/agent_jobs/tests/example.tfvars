name    = "turnout"
project = "acme-turnout"
region  = "europe-west1"
subnet = {
  network = "projects/acme-turnout/global/networks/turnout"
  subnet  = "projects/acme-turnout/regions/europe-west1/subnetworks/turnout"
}
agents = {
  lint = { image = "europe-west1-docker.pkg.dev/acme-turnout/turnout/turnout-lint:4f2a90c1d3e5" }
}
launchers = { launcher = "turnout-launcher@acme-turnout.iam.gserviceaccount.com" }
fenced    = "turnout-fenced"
