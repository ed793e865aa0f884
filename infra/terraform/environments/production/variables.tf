variable "account_id" {
  description = "The account of this environment; any other is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id: expected twelve digits."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
}

variable "transit" {
  description = "The firm's transit gateway and the ranges behind it."
  type = object({
    gateway_id = string
    cidrs      = list(string)
  })
}

variable "administrator_role_arns" {
  description = "IAM roles that administer the Kubernetes cluster."
  type        = list(string)
}

variable "alarm_addresses" {
  description = "Mail addresses that alarms go to."
  type        = list(string)
}

variable "kafka_passwords" {
  description = "Password of each Kafka principal; from the environment (TF_VAR_kafka_passwords), never from a file."
  type        = map(string)
  sensitive   = true
  ephemeral   = true
}

variable "tokens" {
  description = "Values of slack-token, oauth2-client-secret, oauth2-cookie-secret; from the environment (TF_VAR_tokens)."
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
