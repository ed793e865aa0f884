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

variable "jobs" {
  description = "The jobs whose lag and checkpoints are watched."
  type        = list(string)

  validation {
    condition     = length(var.jobs) > 0
    error_message = "jobs: expected at least one job."
  }
}

variable "kafka_cluster_name" {
  description = "Name under which CloudWatch knows the brokers."
  type        = string
}

variable "alarm_addresses" {
  description = "Mail addresses that alarms go to."
  type        = list(string)

  validation {
    condition     = length(var.alarm_addresses) > 0 && alltrue([for address in var.alarm_addresses : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "alarm_addresses: expected at least one mail address."
  }
}

variable "lag_seconds_max" {
  description = "How far a job may be behind the clock."
  type        = number
  default     = 30

  validation {
    condition     = var.lag_seconds_max >= 1
    error_message = "lag_seconds_max: expected at least one second."
  }
}

variable "checkpoint_age_seconds_max" {
  description = "How old the newest checkpoint may be; they are taken every five seconds."
  type        = number
  default     = 120

  validation {
    condition     = var.checkpoint_age_seconds_max >= 10
    error_message = "checkpoint_age_seconds_max: expected at least two intervals of five seconds."
  }
}

variable "cut_overdue_seconds_max" {
  description = "How long after its time a cut may be unsealed."
  type        = number
  default     = 300
}

variable "pack_overdue_seconds_max" {
  description = "How long after the end of day its reports may be unpublished."
  type        = number
  default     = 3600
}

variable "log_days" {
  description = "Days the workloads' logs are kept."
  type        = number
  default     = 400

  validation {
    condition     = contains([90, 180, 365, 400, 731, 1096, 2192], var.log_days)
    error_message = "log_days: expected 90, 180, 365, 400, 731, 1096 or 2192."
  }
}
