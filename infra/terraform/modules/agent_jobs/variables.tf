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

variable "agents" {
  description = "Agent to its image, and what a job of it has."
  type = map(object({
    image  = string
    cpu    = optional(string, "2")
    memory = optional(string, "4Gi")
  }))
  validation {
    condition     = alltrue([for name in keys(var.agents) : can(regex("^[a-z][a-z0-9-]{0,30}$", name))])
    error_message = "An agent's name here is small letters, digits and hyphens (an `_` of its name is `-`)."
  }
  validation {
    condition     = alltrue([for each in values(var.agents) : can(regex("[:@][A-Za-z0-9_.:-]+$", each.image)) && !endswith(each.image, ":latest")])
    error_message = "Name each image with a tag or digest that stays what it is, not :latest."
  }
}

variable "launchers" {
  description = "Names of the accounts that start, watch and stop jobs, and their e-mail addresses."
  type        = map(string)
}

variable "subnet" {
  description = "Network and subnet that all a job sends goes through."
  type = object({
    network = string
    subnet  = string
  })
}

variable "fenced" {
  description = "Network tag by which a firewall keeps jobs from the rest of the network."
  type        = string
}

variable "protected" {
  description = "Whether the jobs can't be destroyed before this is set to false."
  type        = bool
  default     = true
}
