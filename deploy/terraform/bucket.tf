resource "google_storage_bucket" "files" {
  #checkov:skip=CKV_GCP_62:Access logs are a bucket of their own, and a bill; data access audit logs of the project say the same where they are wanted
  #checkov:skip=CKV_GCP_78:No object is edited in place, inputs are never changed, and soft deletion keeps what is deleted for 7 days; versions would keep every claim for ever
  project                     = var.project
  name                        = var.bucket
  location                    = var.region
  uniform_bucket_level_access = true # the condition on output/ needs it
  public_access_prevention    = "enforced"
  force_destroy               = false

  soft_delete_policy {
    retention_duration_seconds = 7 * 86400
  }

  # What a worker that died left of an upload in parts
  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.keep_days == null ? {} : {
      (var.prefix)                    = var.keep_days
      "output/receipts/${var.prefix}" = 2 * var.keep_days
    }
    content {
      action {
        type = "Delete"
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = [lifecycle_rule.key]
      }
    }
  }
}

resource "google_storage_notification" "uploads" {
  bucket             = google_storage_bucket.files.name
  topic              = google_pubsub_topic.files.id
  payload_format     = "JSON_API_V1"
  event_types        = ["OBJECT_FINALIZE"]
  object_name_prefix = var.prefix

  depends_on = [google_pubsub_topic_iam_member.storage_publishes] # Cloud Storage tries it out
}
