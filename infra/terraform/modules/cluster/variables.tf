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

variable "subnet_ids" {
  description = "One private subnet a zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) == 3
    error_message = "subnet_ids: expected one subnet in each of three zones."
  }
}

variable "kubernetes_version" {
  description = "Version of Kubernetes."
  type        = string
  default     = "1.33"

  validation {
    condition     = can(regex("^1\\.(3[1-9]|4[0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version: expected 1.31 or later."
  }
}

variable "node_groups" {
  description = "Groups of nodes by name: size, how many at least and at most, disk."
  type = map(object({
    instance_type = string
    min           = number
    max           = number
    disk_gib      = optional(number, 100)
  }))

  validation {
    condition     = alltrue([for group in var.node_groups : group.min >= 3 && group.max >= group.min])
    error_message = "node_groups: expected at least three nodes in each, one a zone, and max not below min."
  }
}

variable "workload_roles" {
  description = "IAM role of each workload: its service account, and what it may do to what."
  type = map(object({
    namespace       = string
    service_account = string
    statements = list(object({
      actions   = list(string)
      resources = list(string)
    }))
  }))

  validation {
    condition     = alltrue(flatten([for role in var.workload_roles : [for s in role.statements : [for action in s.actions : !strcontains(action, "*")]]]))
    error_message = "workload_roles: expected actions by name, found a wildcard."
  }
}

variable "operator_cidrs" {
  description = "Ranges of the firm's network that reach the Kubernetes API and the console."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.operator_cidrs : can(cidrnetmask(cidr)) && cidr != "0.0.0.0/0"])
    error_message = "operator_cidrs: expected IPv4 ranges of the firm, never the whole internet."
  }
}

variable "administrator_role_arns" {
  description = "IAM roles that administer the cluster."
  type        = list(string)

  validation {
    condition     = length(var.administrator_role_arns) > 0
    error_message = "administrator_role_arns: expected at least one role; nobody else can reach the cluster."
  }
}

variable "images" {
  description = "Container images of the platform: four that are built, and the proxy, which is copied."
  type        = list(string)
  default     = ["code-location", "sdk-harness", "flink", "job-server", "oauth2-proxy"]
}
