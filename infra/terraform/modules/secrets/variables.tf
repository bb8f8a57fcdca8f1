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

variable "readers" {
  description = "Secret to the accounts that may read it: their names, and their e-mail addresses."
  type        = map(map(string))
  validation {
    condition     = alltrue([for secret in keys(var.readers) : can(regex("^[a-z][a-z0-9-]*$", secret))])
    error_message = "A secret's name is small letters, digits and hyphens."
  }
}
