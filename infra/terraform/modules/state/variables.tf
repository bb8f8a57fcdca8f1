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

variable "network" {
  description = "Id of the network that the database gets its private address in."
  type        = string
}

variable "tier" {
  description = "Machine of the database, as db-custom-1-3840."
  type        = string
  validation {
    condition     = can(regex("^db-", var.tier))
    error_message = "A tier begins with db-."
  }
}

variable "highly_available" {
  description = "Whether a second machine stands by in another zone; it doubles the price."
  type        = bool
}

variable "protected" {
  description = "Whether the database can't be destroyed before this is set to false."
  type        = bool
  default     = true
}

variable "users" {
  description = "Names of the accounts that use the database, and their e-mail addresses. They sign in with their identity: there is no password."
  type        = map(string)
}

variable "owner" {
  description = "Which of them makes the tables, and owns them."
  type        = string
  validation {
    condition     = contains(keys(var.users), var.owner)
    error_message = "One of the users makes the tables."
  }
}
