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

variable "cidr" {
  description = "Address range of the network, /16 to /20."
  type        = string
}

variable "availability_zones" {
  description = "Three zones."
  type        = list(string)
}

variable "transit" {
  description = "The firm's transit gateway and the ranges behind it."
  type = object({
    gateway_id = string
    cidrs      = list(string)
  })
  default = null
}

variable "administrator_role_arns" {
  description = "IAM roles that administer the Kubernetes cluster."
  type        = list(string)
}

variable "jobs" {
  description = "The jobs of the deployment (streaming/apps/chain.py)."
  type        = list(string)
  default     = ["market", "accounts", "firm"]
}

variable "node_groups" {
  description = "Nodes: `stream` for Flink, `console` for the rest."
  type = map(object({
    instance_type = string
    min           = number
    max           = number
    disk_gib      = optional(number, 100)
  }))

  validation {
    condition     = toset(keys(var.node_groups)) == toset(["stream", "console"])
    error_message = "node_groups: expected stream and console."
  }
}

variable "kafka" {
  description = "Size of the brokers."
  type = object({
    instance_type    = string
    brokers_per_zone = number
    volume_gib       = number
  })
}

variable "database" {
  description = "Size of the database."
  type = object({
    instance_class = string
    storage_gib    = number
  })
}

variable "holds_records" {
  description = "Whether the environment holds the firm's records."
  type        = bool
}

variable "retention_years" {
  description = "Years in which no record can be changed (17 CFR 240.17a-4(a): six)."
  type        = number
  default     = 6
}

variable "alarm_addresses" {
  description = "Mail addresses that alarms go to."
  type        = list(string)
}

variable "kafka_passwords" {
  description = "Password of each Kafka principal; write-only."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "tokens" {
  description = "Values of slack-token, oauth2-client-secret, oauth2-cookie-secret; write-only."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "secrets_generation" {
  description = "Raise it to write all secrets anew."
  type        = number
  default     = 1
}

variable "kafka_open_until_acls_exist" {
  description = "True for the first deploy only."
  type        = bool
  default     = false
}
