output "arn" {
  description = "ARN of the key."
  value       = aws_kms_key.this.arn
}

output "rotates" {
  description = "Whether the key material is renewed by itself."
  value       = aws_kms_key.this.enable_key_rotation
}
