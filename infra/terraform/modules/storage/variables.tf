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
  description = "The network of the shared file system."
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
  description = "Who may mount the shared file system."
  type        = string
}

variable "holds_records" {
  description = "Whether the buckets hold the firm's records; false for rehearsals with invented data."
  type        = bool
  default     = true
}

variable "retention_years" {
  description = "Years in which no sealed cut and no report can be changed or deleted by anyone. 17 CFR 240.17a-4(a): six years; (f)(2)(i)(B): non-rewriteable, non-erasable."
  type        = number
  default     = 6

  validation {
    condition     = var.retention_years >= (var.holds_records ? 6 : 1) && floor(var.retention_years) == var.retention_years
    error_message = "retention_years: expected whole years, at least the six of 17 CFR 240.17a-4(a) where records are held."
  }
}
