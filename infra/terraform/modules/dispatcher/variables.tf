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

variable "image" {
  description = "Image of the dispatcher, with its tag or digest."
  type        = string
  validation {
    condition     = can(regex("[:@][A-Za-z0-9_.:-]+$", var.image)) && !endswith(var.image, ":latest")
    error_message = "Name the image with a tag or digest that stays what it is, not :latest."
  }
}

variable "command" {
  description = "What runs in it."
  type        = list(string)
}

variable "account" {
  description = "E-mail address of the account that it runs as."
  type        = string
}

variable "instances" {
  description = "How many share the topics' partitions."
  type        = number
  default     = 1
  validation {
    condition     = var.instances >= 0 && var.instances <= 6
    error_message = "0 to 6: a topic has six partitions, and who has none does nothing. 0: it runs elsewhere, as in GKE."
  }
}

variable "environment" {
  description = "Its settings (docs/settings.md)."
  type        = map(string)
}

variable "subnet" {
  description = "Network and subnet that all it sends goes through."
  type = object({
    network = string
    subnet  = string
  })
}

variable "protected" {
  description = "Whether it can't be destroyed before this is set to false."
  type        = bool
  default     = true
}
