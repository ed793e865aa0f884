# Passwords and tokens. Their values are write-only: they pass from the operator's environment to Secrets Manager and are
# in no plan and no state. A new generation number writes them anew.

locals {
  kafka = toset(var.principals)
  other = toset(["slack-token", "oauth2-client-secret", "oauth2-cookie-secret"])
}

module "key" {
  source = "../key"

  name        = "${var.name}-secrets"
  description = "Secrets of ${var.name}"
  account_id  = var.account_id
  services    = ["kafka.amazonaws.com"]
  tags        = var.tags
}

# MSK takes logins only from secrets called AmazonMSK_..., encrypted with a key of the customer's own.
resource "aws_secretsmanager_secret" "kafka" {
  for_each = local.kafka

  name                    = "AmazonMSK_${var.name}/${each.key}"
  description             = "Kafka login of plumbline-${each.key}"
  kms_key_id              = module.key.arn
  recovery_window_in_days = 30
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "kafka" {
  for_each = local.kafka

  secret_id = aws_secretsmanager_secret.kafka[each.key].id
  secret_string_wo = jsonencode({
    username = "plumbline-${each.key}"
    password = var.kafka_passwords[each.key]
  })
  secret_string_wo_version = var.generation
}

data "aws_iam_policy_document" "kafka" {
  for_each = local.kafka

  statement {
    sid       = "BrokersRead"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.kafka[each.key].arn]

    principals {
      type        = "Service"
      identifiers = ["kafka.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_secretsmanager_secret_policy" "kafka" {
  for_each = local.kafka

  secret_arn          = aws_secretsmanager_secret.kafka[each.key].arn
  policy              = data.aws_iam_policy_document.kafka[each.key].json
  block_public_policy = true
}

resource "aws_secretsmanager_secret" "other" {
  for_each = local.other

  name                    = "${var.name}/${each.key}"
  kms_key_id              = module.key.arn
  recovery_window_in_days = 30
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "other" {
  for_each = local.other

  secret_id                = aws_secretsmanager_secret.other[each.key].id
  secret_string_wo         = var.tokens[each.key]
  secret_string_wo_version = var.generation
}
