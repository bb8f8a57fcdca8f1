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

variable "function" {
  description = "Which function: the entry point in its source."
  type        = string
  validation {
    condition     = contains(["webhook", "gateway", "orchestrator", "launcher", "reporter", "sweeper", "console"], var.function)
    error_message = "Known are webhook, gateway, orchestrator, launcher, reporter, sweeper, console."
  }
}

variable "package" {
  description = "The zip with its source, as `make package` makes it: main.py at its root."
  type        = string
  validation {
    condition     = endswith(var.package, ".zip") && fileexists(var.package)
    error_message = "There is no such zip: run `make package` first."
  }
}

variable "sources" {
  description = "Name of the bucket that sources are uploaded to."
  type        = string
}

variable "repository" {
  description = "Id of the repository that its image is kept in."
  type        = string
}

variable "builder" {
  description = "E-mail address of the account that builds it."
  type        = string
}

variable "account" {
  description = "E-mail address of the account that it runs as, which is its alone."
  type        = string
}

variable "size" {
  description = "What an instance has, how many requests it serves at once, how many instances there are, and a request's longest time in seconds."
  type = object({
    cpu         = string
    memory      = string
    concurrency = number
    least       = number
    most        = number
    timeout     = number
  })
  validation {
    condition     = var.size.concurrency >= 1 && var.size.least >= 0 && var.size.most >= max(1, var.size.least)
    error_message = "One request at once at least, and no fewer instances at most than at least."
  }
  validation {
    condition     = var.size.concurrency == 1 || tonumber(var.size.cpu) >= 1
    error_message = "Several requests at once need a whole CPU."
  }
}

variable "environment" {
  description = "Its settings (docs/settings.md)."
  type        = map(string)
  validation {
    condition     = alltrue([for name in keys(var.environment) : startswith(name, "TURNOUT_")])
    error_message = "Settings begin with TURNOUT_."
  }
}

variable "secrets" {
  description = "Setting to the id of the secret that holds it, and its version: a number, so that a new value comes with an apply, to all instances at once."
  type = map(object({
    id      = string
    version = string
  }))
  validation {
    condition     = alltrue([for each in values(var.secrets) : can(regex("^[1-9][0-9]*$", each.version))])
    error_message = "A secret's version is its number, not `latest`."
  }
}

variable "subnet" {
  description = "Network and subnet that all it sends goes through."
  type = object({
    network = string
    subnet  = string
  })
}

variable "public" {
  description = "Whether the whole internet reaches it; otherwise only what is in the network, and Cloud Scheduler."
  type        = bool
}

variable "invokers" {
  description = "Names of who may call it, and their identities; allUsers where it looks at who is calling by itself."
  type        = map(string)
}
