# What they mean, and what is accepted, stands in modules/turnout/variables.tf.

variable "project" {
  description = "Id of the Google Cloud project."
  type        = string
}

variable "project_number" {
  description = "Its number."
  type        = string
}

variable "region" {
  description = "Where everything is, as europe-west1."
  type        = string
}

variable "packages" {
  description = "Folder with the functions' sources."
  type        = string
  default     = "../../../../build/functions"
}

variable "image_tag" {
  description = "Tag of the images."
  type        = string
}

variable "github_app" {
  description = "The GitHub App."
  type = object({
    id        = string
    client_id = string
  })
}

variable "admins" {
  description = "Logins of the admins."
  type        = set(string)
}

variable "alert_emails" {
  description = "Who is told of alerts."
  type        = set(string)
}

variable "optional_secrets" {
  description = "Which of slack-token, slack-signing-secret, smtp-url there are."
  type        = set(string)
  default     = []
}

variable "secret_versions" {
  description = "Secret to the number of its version that is used, where that is not 1."
  type        = map(string)
  default     = {}
}

variable "settings" {
  description = "Further settings of the functions, as TURNOUT_SLACK_CHANNEL."
  type        = map(string)
  default     = {}
}
