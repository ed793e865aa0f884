mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                     = "plumbline-test"
  region                   = "eu-west-1"
  account_id               = "123456789012"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-a", "subnet-b", "subnet-c"]
  client_security_group_id = "sg-1"
}

run "records_are_locked_for_six_years_whoever_asks" {
  command = plan

  assert {
    condition     = toset(keys(aws_s3_bucket_object_lock_configuration.this)) == toset(["cuts", "reports"])
    error_message = "Sealed cuts and reports must be locked"
  }

  assert {
    condition = alltrue([
      for lock in aws_s3_bucket_object_lock_configuration.this :
      lock.rule[0].default_retention[0].mode == "COMPLIANCE" && lock.rule[0].default_retention[0].years == 6
    ])
    error_message = "The lock must be in compliance mode for six years (17 CFR 240.17a-4)"
  }

  assert {
    condition     = aws_s3_bucket.this["cuts"].object_lock_enabled && aws_s3_bucket.this["reports"].object_lock_enabled
    error_message = "A bucket must be made for locking"
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "No bucket may be destroyed with what it holds"
  }
}

run "every_bucket_is_versioned_encrypted_and_private" {
  command = plan

  assert {
    condition     = length(aws_s3_bucket.this) == 4 && alltrue([for v in aws_s3_bucket_versioning.this : v.versioning_configuration[0].status == "Enabled"])
    error_message = "Every bucket must keep versions"
  }

  assert {
    condition = alltrue([
      for key, sse in aws_s3_bucket_server_side_encryption_configuration.this :
      one(sse.rule).apply_server_side_encryption_by_default[0].sse_algorithm == (key == "access" ? "AES256" : "aws:kms")
    ])
    error_message = "Every bucket must be encrypted, with the platform's own key wherever S3 can"
  }

  assert {
    condition = alltrue([
      for block in aws_s3_bucket_public_access_block.this :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "No bucket may be made public"
  }

  assert {
    condition     = toset(keys(aws_s3_bucket_policy.this)) == toset(keys(aws_s3_bucket.this))
    error_message = "Every bucket needs the policy that refuses plain HTTP"
  }
}

run "replaced_checkpoints_go_and_records_stay" {
  command = plan

  assert {
    condition = anytrue([
      for rule in aws_s3_bucket_lifecycle_configuration.this["checkpoints"].rule :
      length(rule.noncurrent_version_expiration) == 1
    ])
    error_message = "Replaced checkpoints must not pile up"
  }

  assert {
    condition     = alltrue([for key in ["cuts", "reports"] : alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this[key].rule : length(rule.expiration) == 0])])
    error_message = "Records never expire by themselves"
  }
}

run "the_shared_files_are_encrypted_backed_up_and_in_three_zones" {
  command = plan

  assert {
    condition     = aws_efs_file_system.home.encrypted && aws_efs_backup_policy.home.backup_policy[0].status == "ENABLED"
    error_message = "The shared file system must be encrypted and backed up"
  }

  assert {
    condition     = aws_efs_access_point.home.posix_user[0].uid == 10001 && aws_efs_access_point.home.root_directory[0].creation_info[0].permissions == "0750"
    error_message = "Whoever mounts it must be the platform's own user"
  }

  assert {
    condition     = length(aws_efs_mount_target.home) == 3
    error_message = "The shared file system must be reachable in three zones"
  }
}

run "less_than_six_years_is_rejected" {
  command         = plan
  expect_failures = [var.retention_years]

  variables {
    retention_years = 5
  }
}

run "a_rehearsal_may_be_shorter" {
  command = plan

  variables {
    holds_records   = false
    retention_years = 1
  }

  assert {
    condition     = aws_s3_bucket_object_lock_configuration.this["cuts"].rule[0].default_retention[0].mode == "COMPLIANCE"
    error_message = "A rehearsal locks in the same mode"
  }
}

run "part_of_a_year_is_rejected" {
  command         = plan
  expect_failures = [var.retention_years]

  variables {
    retention_years = 6.5
  }
}

run "two_subnets_are_rejected" {
  command         = plan
  expect_failures = [var.subnet_ids]

  variables {
    subnet_ids = ["subnet-a", "subnet-b"]
  }
}
