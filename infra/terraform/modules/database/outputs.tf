output "address" {
  description = "Host of the database."
  value       = aws_db_instance.this.address
}

output "password_secret_arn" {
  description = "Secret with the user and password that RDS made."
  value       = one(aws_db_instance.this.master_user_secret[*].secret_arn)
}

output "key_arn" {
  description = "The key of the database and of its secret."
  value       = module.key.arn
}
