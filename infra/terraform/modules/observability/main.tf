# Where workloads write their logs, and the alarms. The platform's own figures arrive inside its log lines (embedded
# metric format) in the namespace Plumbline, under the names that Prometheus scrapes too.

locals {
  namespace = "Plumbline"
  logs      = "/${var.name}/workloads"

  of_jobs = merge([for job in var.jobs : {
    "${job}-lag" = {
      text      = "${job} is behind the clock by more than ${var.lag_seconds_max} s"
      metric    = "plumbline_lag_seconds"
      threshold = var.lag_seconds_max
      job       = job
    }
    "${job}-checkpoint-age" = {
      text      = "${job} has had no checkpoint for more than ${var.checkpoint_age_seconds_max} s"
      metric    = "plumbline_checkpoint_age_seconds"
      threshold = var.checkpoint_age_seconds_max
      job       = job
    }
  }]...)

  of_results = {
    missing-cut = {
      text      = "A cut that was due is not sealed, longer than ${var.cut_overdue_seconds_max} s"
      metric    = "plumbline_cut_overdue_seconds"
      threshold = var.cut_overdue_seconds_max
      job       = null
    }
    missing-pack = {
      text      = "An end of day that was due is not published, longer than ${var.pack_overdue_seconds_max} s"
      metric    = "plumbline_pack_overdue_seconds"
      threshold = var.pack_overdue_seconds_max
      job       = null
    }
  }

  alarms = merge(local.of_jobs, local.of_results)
}

module "key" {
  source = "../key"

  name        = "${var.name}-observability"
  description = "Logs and alarms of ${var.name}"
  account_id  = var.account_id
  logs_region = var.region
  services    = ["cloudwatch.amazonaws.com"]
  tags        = var.tags
}

resource "aws_cloudwatch_log_group" "workloads" {
  name              = local.logs
  retention_in_days = var.log_days
  kms_key_id        = module.key.arn
  tags              = var.tags
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = module.key.arn
  tags              = var.tags
}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "AlarmsPublish"
    actions   = ["sns:Publish"]
    resources = ["arn:aws:sns:${var.region}:${var.account_id}:${var.name}-alarms"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "mail" {
  for_each = toset(var.alarm_addresses)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

# Silence is the worst news: a figure that does not arrive counts as a breach.
resource "aws_cloudwatch_metric_alarm" "platform" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = local.namespace
  metric_name         = each.value.metric
  dimensions          = merge({ environment = var.name }, each.value.job == null ? {} : { job = each.value.job })
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

# The brokers' own figures: these arrive even when the whole cluster of workloads is gone.
resource "aws_cloudwatch_metric_alarm" "brokers" {
  for_each = {
    offline-partitions = { metric = "OfflinePartitionsCount", statistic = "Maximum", threshold = 0, text = "A partition has no leader" }
    disk               = { metric = "KafkaDataLogsDiskUsed", statistic = "Maximum", threshold = 80, text = "A broker's disk is more than 80% full" }
  }

  alarm_name          = "${var.name}-kafka-${each.key}"
  alarm_description   = each.value.text
  namespace           = "AWS/Kafka"
  metric_name         = each.value.metric
  dimensions          = { "Cluster Name" = var.kafka_cluster_name }
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}
