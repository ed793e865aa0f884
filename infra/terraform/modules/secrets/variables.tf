variable "name" {
  description = "Prefix of every name, such as plumbline-production."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "name: expected 3 to 31 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "account_id" {
  description = "The account everything belongs to."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}

variable "principals" {
  description = "Who logs in to Kafka: every job, and the programs beside them (`plumbline topics list` names them)."
  type        = list(string)

  validation {
    condition     = contains(var.principals, "admin") && length(distinct(var.principals)) == length(var.principals)
    error_message = "principals: expected admin and every other name once."
  }
}

variable "kafka_passwords" {
  description = "Password of each principal. Needed when they are written, never kept."
  type        = map(string)
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = alltrue([for password in values(var.kafka_passwords) : length(password) >= 32])
    error_message = "kafka_passwords: expected at least 32 characters each."
  }
}

variable "tokens" {
  description = "Values of slack-token, oauth2-client-secret and oauth2-cookie-secret. Never kept."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "generation" {
  description = "Raise it to write all values anew (key rotation)."
  type        = number

  validation {
    condition     = var.generation >= 1 && floor(var.generation) == var.generation
    error_message = "generation: expected a whole number from 1."
  }
}
