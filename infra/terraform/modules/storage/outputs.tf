output "buckets" {
  description = "Bucket names by purpose: cuts, reports, checkpoints, access."
  value       = local.buckets
  depends_on  = [aws_s3_bucket_policy.this]
}

output "key_arn" {
  description = "The key of the buckets and the shared file system."
  value       = module.key.arn
}

output "volume_handle" {
  description = "The shared file system and its access point, as Kubernetes' driver names them."
  value       = "${aws_efs_file_system.home.id}::${aws_efs_access_point.home.id}"
  depends_on  = [aws_efs_mount_target.home]
}
