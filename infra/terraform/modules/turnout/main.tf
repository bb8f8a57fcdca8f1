module "network" {
  source     = "../network"
  name       = var.name
  project    = var.project
  region     = var.region
  depends_on = [google_project_service.this]
}

module "state" {
  source           = "../state"
  name             = var.name
  project          = var.project
  region           = var.region
  network          = module.network.network
  tier             = var.sizes.database_tier
  highly_available = var.sizes.database_standby
  protected        = var.protected
  users            = { for part in concat(keys(local.functions), ["migrator"]) : part => local.emails[part] }
  owner            = "migrator"
}

module "artifacts" {
  source    = "../artifacts"
  name      = var.name
  project   = var.project
  region    = var.region
  keep_days = var.sizes.keep_artifacts_days
  protected = var.protected
  users     = { for function in ["gateway", "sweeper", "console"] : function => local.emails[function] }
  builder   = local.emails["builder"]
}

module "agent_jobs" {
  source    = "../agent_jobs"
  name      = var.name
  project   = var.project
  region    = var.region
  subnet    = local.subnet
  fenced    = module.network.fenced
  protected = var.protected
  agents = {
    for agent, job in var.agents : agent => {
      image  = "${module.artifacts.images}/turnout-${agent}:${var.image_tag}"
      cpu    = job.cpu
      memory = job.memory
    }
  }
  launchers = { for function in ["launcher", "sweeper"] : function => local.emails[function] }
}

module "observability" {
  source    = "../observability"
  name      = var.name
  project   = var.project
  emails    = var.alert_emails
  functions = { for function, made in module.function : function => made.name }
  cluster   = module.kafka.cluster
  instance  = module.state.instance
}

locals {
  subnet = {
    network = module.network.network
    subnet  = module.network.subnet
  }
}
