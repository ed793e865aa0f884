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
  description = "The network of the brokers."
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
  description = "Who may connect to the brokers."
  type        = string
}

variable "kafka_version" {
  description = "Version of Kafka, as MSK names it."
  type        = string
  default     = "3.9.x.kraft"

  validation {
    condition     = can(regex("^(3\\.(6|7|8|9)|4\\.[0-9])\\.(x|[0-9]+)(\\.kraft)?$", var.kafka_version))
    error_message = "kafka_version: expected 3.6 or later, which tiered storage needs."
  }
}

variable "instance_type" {
  description = "Size of a broker."
  type        = string

  validation {
    condition     = can(regex("^kafka\\.m(5|7g)\\.", var.instance_type))
    error_message = "instance_type: expected a kafka.m5 or kafka.m7g; smaller ones have no tiered storage."
  }
}

variable "brokers_per_zone" {
  description = "Brokers in each of the three zones."
  type        = number
  default     = 1

  validation {
    condition     = var.brokers_per_zone >= 1 && var.brokers_per_zone <= 10
    error_message = "brokers_per_zone: expected 1 to 10."
  }
}

variable "volume_gib" {
  description = "Disk of each broker: the newest days; older segments are tiered."
  type        = number

  validation {
    condition     = var.volume_gib >= 100 && var.volume_gib <= 16384
    error_message = "volume_gib: expected 100 to 16384."
  }
}

variable "login_secret_arns" {
  description = "Secret of each principal, by its name."
  type        = map(string)
}

variable "open_until_acls_exist" {
  description = "True for the first deploy only: until `plumbline topics apply` has granted access, nobody could."
  type        = bool
  default     = false
}
