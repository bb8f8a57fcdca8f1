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

variable "emails" {
  description = "Who is told when something is wrong."
  type        = set(string)
  validation {
    condition     = length(var.emails) > 0 && alltrue([for each in var.emails : can(regex("^[^@ ]+@[^@ ]+$", each))])
    error_message = "One e-mail address at least: an alert that reaches nobody is none."
  }
}

variable "functions" {
  description = "Names of the functions' services."
  type        = map(string)
}

variable "cluster" {
  description = "Name of the Kafka cluster."
  type        = string
}

variable "instance" {
  description = "Name of the database's instance."
  type        = string
}
