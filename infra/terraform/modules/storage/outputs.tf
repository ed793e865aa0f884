output "buckets" {
  description = "Bucket names by purpose: cuts, reports, checkpoints, access."
  value       = local.buckets
  depends_on  = [aws_s3_bucket_policy.this]
}

output "key_arn" {
  description = "The key of the buckets and the shared file system."
  value       = module.key.arn
}

output "file_system_id" {
  description = "The shared file system."
  value       = aws_efs_file_system.home.id
}
