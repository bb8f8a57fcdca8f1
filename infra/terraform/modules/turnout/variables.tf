variable "name" {
  description = "What all names begin with."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "The name is 3 to 16 small letters, digits and hyphens, and begins with a letter."
  }
}

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id is 6 to 30 small letters, digits and hyphens."
  }
}

variable "region" {
  description = "Where everything is, as europe-west1."
  type        = string
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region is written as europe-west1; a zone has a letter more."
  }
}

variable "project_number" {
  description = "Number of the project: the addresses of functions hold it (gcloud projects describe ID --format='value(projectNumber)')."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{6,}$", var.project_number))
    error_message = "The project's number, not its id: digits alone."
  }
}

variable "packages" {
  description = "Folder with the functions' sources: webhook.zip, gateway.zip and so on."
  type        = string
}

variable "image_tag" {
  description = "Tag of the agents' and the dispatcher's images, as `make images` gave it."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]*$", var.image_tag)) && var.image_tag != "latest"
    error_message = "A tag that stays what it is, as 4f2a90c1d3e5; not `latest`."
  }
}

variable "github_app" {
  description = "Id of the GitHub App, and its client id, by which people sign in to the console."
  type = object({
    id        = string
    client_id = string
  })
  validation {
    condition     = can(regex("^[0-9]+$", var.github_app.id))
    error_message = "The App's id is a number; GitHub shows it on the App's page."
  }
}

variable "admins" {
  description = "People of GitHub who are admins of everything, without the @."
  type        = set(string)
  validation {
    condition     = length(var.admins) > 0 && alltrue([for each in var.admins : can(regex("^[A-Za-z0-9-]+$", each))])
    error_message = "One login at least, each without @."
  }
}

variable "alert_emails" {
  description = "Who is told when something is wrong with Turnout itself."
  type        = set(string)
}

variable "optional_secrets" {
  description = "Which of slack-token, slack-signing-secret and smtp-url there are. The others are always there."
  type        = set(string)
  default     = []
  validation {
    condition     = length(setsubtract(var.optional_secrets, ["slack-token", "slack-signing-secret", "smtp-url"])) == 0
    error_message = "Known are slack-token, slack-signing-secret and smtp-url."
  }
}

variable "secret_versions" {
  description = "Secret to the number of the version that is used; 1 where it is not named."
  type        = map(string)
  default     = {}
  validation {
    condition     = length(setsubtract(keys(var.secret_versions), ["webhook-secret", "server-key", "github-app-key", "github-client-secret", "slack-token", "slack-signing-secret", "smtp-url"])) == 0
    error_message = "Known are webhook-secret, server-key, github-app-key, github-client-secret, slack-token, slack-signing-secret and smtp-url."
  }
}

variable "settings" {
  description = "Further settings of the functions (docs/settings.md), as TURNOUT_SLACK_CHANNEL. What stands in functions.tf goes before."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for name in keys(var.settings) : startswith(name, "TURNOUT_")])
    error_message = "Settings begin with TURNOUT_."
  }
  validation {
    condition     = !anytrue([for name in keys(var.settings) : can(regex("(_KEY|_SECRET|_TOKEN|_PASSWORD|_SMTP_URL|_DATABASE_URL)(_FILE)?$", name))])
    error_message = "A secret's place is Secret Manager: no setting that is one stands in the open."
  }
  validation {
    condition     = !contains(var.optional_secrets, "smtp-url") || contains(keys(var.settings), "TURNOUT_MAIL_FROM")
    error_message = "Who sends e-mail has an address: set TURNOUT_MAIL_FROM beside smtp-url."
  }
}

variable "agents" {
  description = "Agents that have jobs, and what a job of each has."
  type = map(object({
    cpu    = optional(string, "2")
    memory = optional(string, "4Gi")
  }))
  default = { lint = {}, test = {}, build = {}, security = {}, deploy = {}, script = {} }
}

variable "sizes" {
  description = "How large things are."
  type = object({
    kafka_vcpus         = optional(number, 3)
    kafka_memory_gib    = optional(number, 3)
    database_tier       = optional(string, "db-custom-1-3840")
    database_standby    = optional(bool, false)
    dispatcher          = optional(number, 1)
    warm                = optional(number, 0)
    most                = optional(number, 5)
    keep_artifacts_days = optional(number, 90)
  })
  default = {}
}

variable "protected" {
  description = "Whether what holds data can't be destroyed before this is set to false."
  type        = bool
  default     = true
}

variable "dispatcher_command" {
  description = "What runs in the dispatcher's image."
  type        = list(string)
  default     = ["turnout", "dispatcher"]
}
