# Where the figures come from: Pub/Sub's own, which need nothing on the VM; and the log, which Container-Optimized OS
# sends by itself. No agent has to be installed where none can be.
#
# The filters look for text anywhere in an entry, not for its fields: they hold whether or not the program's JSON was
# taken apart on its way.

locals {
  metric_prefix = replace(var.name, "-", "_")
  receipt       = "resource.type=\"gce_instance\" AND \"receipt written\" AND \"${var.name}-worker-\""
}

resource "google_logging_metric" "receipts" {
  project     = var.project
  name        = "${local.metric_prefix}_receipts"
  description = "Files that came to an end, however it was"
  filter      = local.receipt

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_logging_metric" "rejected" {
  project     = var.project
  name        = "${local.metric_prefix}_rejected"
  description = "Files that were rejected"
  filter      = "${local.receipt} AND (jsonPayload.status=\"rejected\" OR \"\\\"status\\\": \\\"rejected\\\"\")"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

locals {
  subscription = "pubsub_googleapis_com:subscription"
  of_workers   = "monitored_resource=\"pubsub_subscription\",project_id=\"${var.project}\",subscription_id=\"${google_pubsub_subscription.workers.name}\""
  of_dead      = "monitored_resource=\"pubsub_subscription\",project_id=\"${var.project}\",subscription_id=\"${google_pubsub_subscription.dead_letters.name}\""
  receipts     = "sum(increase(logging_googleapis_com:user_${google_logging_metric.receipts.name}{monitored_resource=\"gce_instance\"}[30m]))"
  rejected     = "sum(increase(logging_googleapis_com:user_${google_logging_metric.rejected.name}{monitored_resource=\"gce_instance\"}[30m]))"
  # With min_workers = 0 nobody has to be there while nothing waits.
  wanted = var.min_workers > 0 ? "vector(1)" : "(sum(${local.subscription}_num_undelivered_messages{${local.of_workers}}) > 0)"

  alerts = {
    oldest = {
      title    = "a file waits for too long"
      severity = "WARNING"
      text     = "More workers are needed, or none works. See `python -m publisher status` and docs/cloud.md, When something is wrong."
      conditions = {
        "the oldest file waits for more than ${var.oldest_file_seconds} s" = {
          query    = "max(${local.subscription}_oldest_unacked_message_age{${local.of_workers}}) > ${var.oldest_file_seconds}"
          duration = "300s"
        }
      }
    }
    dead = {
      title    = "files were given up"
      severity = "ERROR"
      text     = "`python -m publisher dead-letters` says which and why. Mend the cause, then `python -m publisher rescore NAME`."
      conditions = {
        "a file was dead-lettered" = {
          query    = "sum(increase(${local.subscription}_dead_letter_message_count{${local.of_workers}}[10m])) > 0"
          duration = "0s"
        }
        "dead letters wait, and no publisher records them" = {
          query    = "max(${local.subscription}_num_undelivered_messages{${local.of_dead}}) > 0"
          duration = "1800s"
        }
      }
    }
    rejected = {
      title    = "many files are rejected"
      severity = "WARNING"
      text     = "The receipts say why: output/receipts/. Mostly a column was renamed where the files come from, or a model with other columns was promoted."
      conditions = {
        "more than ${100 * var.rejected_ratio} % of the files of half an hour" = {
          query    = "${local.rejected} / ${local.receipts} > ${var.rejected_ratio} and ${local.receipts} >= 20"
          duration = "0s"
        }
      }
    }
    nobody = {
      title    = "no worker is alive"
      severity = "CRITICAL"
      text     = "Nobody pulls from ${google_pubsub_subscription.workers.name}. Look at the group ${var.name}-worker: no VM (no quota, or no spot capacity, where ordinary VMs help), or VMs whose log says why they do not start (image, registry, roles)."
      conditions = {
        "nobody pulls" = {
          query    = "${local.wanted} unless on() (sum(${local.subscription}_open_streaming_pulls{${local.of_workers}}) > 0)"
          duration = "600s"
        }
      }
    }
  }
}

resource "google_monitoring_alert_policy" "alert" {
  for_each = local.alerts

  project               = var.project
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels

  dynamic "conditions" {
    for_each = each.value.conditions
    content {
      display_name = conditions.key
      condition_prometheus_query_language {
        query               = conditions.value.query
        duration            = conditions.value.duration
        evaluation_interval = "60s"
      }
    }
  }

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }
}
