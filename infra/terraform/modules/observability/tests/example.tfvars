name    = "turnout"
project = "acme-turnout"
emails  = ["ops@example.org"]
functions = {
  webhook      = "turnout-webhook"
  orchestrator = "turnout-orchestrator"
  sweeper      = "turnout-sweeper"
}
cluster  = "turnout"
instance = "turnout"
