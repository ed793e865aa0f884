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
  description = "Address range of the network; each zone takes a sixteenth."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20, false)
    error_message = "cidr: expected an IPv4 range of /16 to /20."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.cidr))
    error_message = "cidr: expected a private range (RFC 1918)."
  }
}

variable "availability_zones" {
  description = "The three zones that everything is spread over."
  type        = list(string)

  validation {
    condition     = length(distinct(var.availability_zones)) == 3 && length(var.availability_zones) == 3
    error_message = "availability_zones: expected three different zones."
  }
}

variable "transit" {
  description = "The firm's transit gateway and the ranges behind it; null keeps the network to itself."
  type = object({
    gateway_id = string
    cidrs      = list(string)
  })
  default = null

  validation {
    condition     = var.transit == null ? true : !contains(var.transit.cidrs, "0.0.0.0/0")
    error_message = "transit: expected the firm's own ranges, found the whole internet; leave by the firm's proxy."
  }
}
