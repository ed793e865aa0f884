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

variable "vpc_id" {
  description = "The network of the database."
  type        = string
}

variable "subnet_ids" {
  description = "One private subnet a zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) == 3
    error_message = "subnet_ids: expected one subnet in each of three zones."
  }
}

variable "client_security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "engine_version" {
  description = "Version of Postgres."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^1[5-9](\\.[0-9]+)?$", var.engine_version))
    error_message = "engine_version: expected Postgres 15 to 19."
  }
}

variable "instance_class" {
  description = "Size of the database."
  type        = string

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "instance_class: expected a class such as db.t4g.medium."
  }
}

variable "storage_gib" {
  description = "Disk at first; it grows by itself to four times as much."
  type        = number
  default     = 50
}

variable "backup_days" {
  description = "Days one can go back to any second of."
  type        = number
  default     = 35

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "backup_days: expected 7 to 35."
  }
}
