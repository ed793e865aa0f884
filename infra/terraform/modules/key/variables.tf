variable "name" {
  description = "Alias of the key, without the alias/ in front."
  type        = string
}

variable "description" {
  description = "What the key encrypts."
  type        = string
}

variable "account_id" {
  description = "The account whose IAM decides who may use the key."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id: expected twelve digits."
  }
}

variable "services" {
  description = "AWS services that use the key for this account's resources, as service principals."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for service in var.services : endswith(service, ".amazonaws.com")])
    error_message = "services: expected service principals ending in .amazonaws.com."
  }
}

variable "logs_region" {
  description = "Region whose CloudWatch Logs encrypts this account's log groups with the key; null when none does."
  type        = string
  default     = null
}

variable "user_arns" {
  description = "Further principals that use the key, such as an account's service-linked role."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.user_arns : can(regex("^arn:aws:iam::[0-9]{12}:role/", arn))])
    error_message = "user_arns: expected the ARNs of IAM roles."
  }
}

variable "rotation_days" {
  description = "Days between two generations of the key material."
  type        = number
  default     = 365

  validation {
    condition     = var.rotation_days >= 90 && var.rotation_days <= 366
    error_message = "rotation_days: expected 90 to 366, at least once a year."
  }
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
