# Buckets: sealed cuts and published reports (write once, for as long as the rule says), checkpoints (short-lived), and
# the access records of all of them. Beside them the shared file system that the sealer and the console work on.

locals {
  buckets = {
    cuts        = "${var.name}-${var.account_id}-cuts"
    reports     = "${var.name}-${var.account_id}-reports"
    checkpoints = "${var.name}-${var.account_id}-checkpoints"
    access      = "${var.name}-${var.account_id}-access"
  }
  locked = toset(["cuts", "reports"])
}

module "key" {
  source = "../key"

  name        = "${var.name}-storage"
  description = "Buckets and files of ${var.name}"
  account_id  = var.account_id
  tags        = var.tags
}

resource "aws_s3_bucket" "this" {
  for_each = local.buckets

  bucket              = each.value
  object_lock_enabled = contains(local.locked, each.key)
  force_destroy       = false
  tags                = merge(var.tags, { Name = each.value })
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    bucket_key_enabled = each.key != "access"

    apply_server_side_encryption_by_default { # S3 delivers access records only where its own key encrypts them
      sse_algorithm     = each.key == "access" ? "AES256" : "aws:kms"
      kms_master_key_id = each.key == "access" ? null : module.key.arn
    }
  }
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  for_each = local.locked

  bucket     = aws_s3_bucket.this[each.key].id
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    default_retention {
      mode  = "COMPLIANCE" # nobody shortens it, the account's root included
      years = var.retention_years
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket     = each.value.id
  depends_on = [aws_s3_bucket_versioning.this]

  rule {
    id     = "incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  dynamic "rule" {
    for_each = contains(local.locked, each.key) ? [true] : []

    content {
      id     = "cool-down"
      status = "Enabled"

      filter {}

      transition {
        days          = 90
        storage_class = "STANDARD_IA"
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "checkpoints" ? [true] : []

    content {
      id     = "replaced-checkpoints"
      status = "Enabled"

      filter {}

      noncurrent_version_expiration {
        noncurrent_days = 7
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "access" ? [true] : []

    content {
      id     = "old-access-records"
      status = "Enabled"

      filter {}

      expiration {
        days = 400
      }
    }
  }
}

resource "aws_s3_bucket_logging" "this" {
  for_each = { for key, bucket in aws_s3_bucket.this : key => bucket if key != "access" }

  bucket        = each.value.id
  target_bucket = aws_s3_bucket.this["access"].id
  target_prefix = "${each.key}/"
}

data "aws_iam_policy_document" "bucket" {
  for_each = local.buckets

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"] # a denial, of everything
    resources = ["arn:aws:s3:::${each.value}", "arn:aws:s3:::${each.value}/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  dynamic "statement" {
    for_each = each.key == "access" ? [true] : []

    content {
      sid       = "AccessRecords"
      actions   = ["s3:PutObject"]
      resources = ["arn:aws:s3:::${each.value}/*"]

      principals {
        type        = "Service"
        identifiers = ["logging.s3.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [var.account_id]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket     = each.value.id
  policy     = data.aws_iam_policy_document.bucket[each.key].json
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_efs_file_system" "home" {
  creation_token   = "${var.name}-home"
  encrypted        = true
  kms_key_id       = module.key.arn
  throughput_mode  = "elastic"
  performance_mode = "generalPurpose"
  tags             = merge(var.tags, { Name = "${var.name}-home" })
}

# Whoever mounts it is the platform's own user, in the platform's own folder; containers run as that user.
resource "aws_efs_access_point" "home" {
  file_system_id = aws_efs_file_system.home.id
  tags           = merge(var.tags, { Name = "${var.name}-home" })

  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/plumbline"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "0750"
    }
  }
}

resource "aws_efs_backup_policy" "home" {
  file_system_id = aws_efs_file_system.home.id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_security_group" "home" {
  name        = "${var.name}-home"
  description = "Shared file system"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-home" })
}

resource "aws_vpc_security_group_ingress_rule" "home" {
  security_group_id            = aws_security_group.home.id
  description                  = "NFS from the cluster"
  referenced_security_group_id = var.client_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
  tags                         = var.tags
}

resource "aws_efs_mount_target" "home" {
  count = length(var.subnet_ids)

  file_system_id  = aws_efs_file_system.home.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [aws_security_group.home.id]
}
