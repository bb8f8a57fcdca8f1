# Which function is given which secret, under which setting's name.
locals {
  always = {
    webhook-secret       = { setting = "TURNOUT_WEBHOOK_SECRET", to = ["webhook"] }
    server-key           = { setting = "TURNOUT_SERVER_KEY", to = ["gateway", "orchestrator", "launcher", "sweeper", "console"] }
    github-app-key       = { setting = "TURNOUT_GITHUB_APP_KEY", to = ["webhook", "gateway", "orchestrator", "reporter", "sweeper", "console"] }
    github-client-secret = { setting = "TURNOUT_GITHUB_CLIENT_SECRET", to = ["console"] }
  }
  optional = {
    slack-token          = { setting = "TURNOUT_SLACK_TOKEN", to = ["webhook", "reporter"] }
    slack-signing-secret = { setting = "TURNOUT_SLACK_SIGNING_SECRET", to = ["webhook"] }
    smtp-url             = { setting = "TURNOUT_SMTP_URL", to = ["reporter"] }
  }
  secrets = merge(local.always, { for name, each in local.optional : name => each if contains(var.optional_secrets, name) })
}

module "secrets" {
  source  = "../secrets"
  name    = var.name
  project = var.project
  readers = {
    for name, each in local.secrets : name => { for function in each.to : function => local.emails[function] }
  }
}
