locals {
  # Known before anything is made, so that functions can be told of each other.
  urls = { for function in keys(local.functions) : function => "https://${var.name}-${function}-${var.project_number}.${var.region}.run.app" }

  usual = { cpu = "1", memory = "512Mi", concurrency = 8, least = 0, most = var.sizes.most, timeout = 120 }

  # `public`: reached from the internet. `called_by`: whose identity Cloud Run lets in. `allUsers` look at it themselves:
  # the webhook at GitHub's signature, the console at the session, the gateway at the attempt's pass.
  functions = {
    webhook      = { public = true, called_by = ["allUsers"], size = merge(local.usual, { concurrency = 16, least = var.sizes.warm, timeout = 30 }) }
    console      = { public = true, called_by = ["allUsers"], size = merge(local.usual, { concurrency = 40, timeout = 900 }) } # pages are told news for that long
    gateway      = { public = false, called_by = ["allUsers"], size = merge(local.usual, { concurrency = 16, timeout = 300 }) }
    orchestrator = { public = false, called_by = ["dispatcher"], size = merge(local.usual, { least = var.sizes.warm }) }
    launcher     = { public = false, called_by = ["dispatcher"], size = local.usual }
    reporter     = { public = false, called_by = ["dispatcher"], size = local.usual }
    sweeper      = { public = false, called_by = ["scheduler"], size = merge(local.usual, { concurrency = 1, most = 2, timeout = 300 }) }
  }

  kafka = {
    TURNOUT_KAFKA_BOOTSTRAP          = module.kafka.bootstrap
    TURNOUT_KAFKA_SECURITY_PROTOCOL  = "SASL_SSL"
    TURNOUT_KAFKA_SASL_MECHANISM     = "OAUTHBEARER"
    TURNOUT_KAFKA_REPLICATION_FACTOR = "3"
  }

  settings = merge(var.settings, local.kafka, {
    TURNOUT_HOME                = "/tmp/turnout"
    TURNOUT_PROJECTS            = "/workspace/projects"
    TURNOUT_ARTIFACTS           = "gs://${module.artifacts.artifacts}"
    TURNOUT_CONSOLE_URL         = local.urls["console"]
    TURNOUT_GATEWAY_URL         = local.urls["gateway"]
    TURNOUT_GITHUB_APP_ID       = var.github_app.id
    TURNOUT_GITHUB_CLIENT_ID    = var.github_app.client_id
    TURNOUT_GITHUB_HOOK_URL     = local.urls["webhook"]
    TURNOUT_CONSOLE_ADMINS      = join(",", [for login in sort(var.admins) : "@${login}"])
    TURNOUT_LAUNCHER_RUNTIMES   = "cloudrun"
    TURNOUT_CLOUDRUN_JOBS       = module.agent_jobs.pattern
    TURNOUT_DATABASE_IDENTITY   = "google"
    TURNOUT_MIGRATE             = "job"
    TURNOUT_ORCHESTRATOR_TIMERS = "false" # an instance sleeps between requests; the sweeper is called each minute
  })
}

module "function" {
  source     = "../function"
  for_each   = local.functions
  name       = var.name
  project    = var.project
  region     = var.region
  function   = each.key
  package    = "${var.packages}/${each.key}.zip"
  sources    = module.artifacts.sources
  repository = module.artifacts.repository
  builder    = local.emails["builder"]
  account    = local.emails[each.key]
  size       = each.value.size
  public     = each.value.public
  subnet     = local.subnet
  invokers = {
    for caller in each.value.called_by :
    caller => caller == "allUsers" ? "allUsers" : "serviceAccount:${local.emails[caller]}"
  }
  environment = merge(local.settings, { TURNOUT_DATABASE_URL = module.state.urls[each.key] })
  secrets = {
    for name, secret in local.secrets :
    secret.setting => { id = module.secrets.ids[name], version = lookup(var.secret_versions, name, "1") } if contains(secret.to, each.key)
  }
}
