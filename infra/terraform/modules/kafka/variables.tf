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

variable "subnet" {
  description = "Id of the subnet that the brokers are reached in."
  type        = string
}

variable "vcpus" {
  description = "Of the whole cluster; Google's least is 3."
  type        = number
  default     = 3
  validation {
    condition     = var.vcpus >= 3
    error_message = "Managed Kafka begins at 3 vCPUs."
  }
}

variable "memory_gib" {
  description = "Of the whole cluster: 1 to 8 GiB for each vCPU."
  type        = number
  default     = 3
  validation {
    condition     = var.memory_gib >= var.vcpus && var.memory_gib <= 8 * var.vcpus
    error_message = "Managed Kafka has 1 to 8 GiB of memory for each vCPU."
  }
}

variable "topics" {
  description = "Topic to its partitions, its retention in seconds, and the accounts that write it and read it."
  type = map(object({
    partitions = number
    retention  = number
    writers    = map(string)
    readers    = map(string)
  }))
  validation {
    condition     = alltrue([for each in values(var.topics) : each.partitions >= 1 && each.retention >= 3600])
    error_message = "A topic has a partition at least, and keeps its records for an hour at least."
  }
  validation {
    condition     = alltrue([for each in values(var.topics) : length(each.writers) > 0])
    error_message = "A topic that nobody may write is of no use."
  }
}

variable "groups" {
  description = "Consumer group to the accounts that read as it."
  type        = map(map(string))
}

variable "observers" {
  description = "Accounts that look: at the cluster, at every topic (that it is there, how long it is), at every group (how far it is)."
  type = object({
    cluster = map(string)
    topics  = map(string)
    groups  = map(string)
  })
  validation {
    condition     = alltrue([for each in values(var.observers) : length(each) > 0])
    error_message = "A list with nobody on it is none, and what has no list is open to every account that may sign in."
  }
}

variable "clients" {
  description = "Names of the accounts that may sign in to the brokers, and their e-mail addresses."
  type        = map(string)
}
