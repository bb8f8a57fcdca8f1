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

variable "keep_days" {
  description = "Days that logs and artifacts of runs are kept."
  type        = number
  default     = 90
  validation {
    condition     = var.keep_days >= 1
    error_message = "A day at least."
  }
}

variable "protected" {
  description = "Whether buckets with something in them are left alone when all is destroyed."
  type        = bool
  default     = true
}

variable "users" {
  description = "Names of the accounts that read and write logs and artifacts, and their e-mail addresses."
  type        = map(string)
}

variable "builder" {
  description = "E-mail address of the account that builds the functions out of their sources."
  type        = string
}
