# The same as `python -m publisher provision` makes, which can be run on it with --check.

resource "google_pubsub_topic" "files" {
  #checkov:skip=CKV_GCP_83:Messages hold names and sizes of files, no rows; Google's own keys will do
  project = var.project
  name    = var.topic
}

resource "google_pubsub_topic" "dead" {
  #checkov:skip=CKV_GCP_83:Messages hold names and sizes of files, no rows; Google's own keys will do
  project = var.project
  name    = "${var.topic}-dead"
}

resource "google_pubsub_subscription" "workers" {
  project                    = var.project
  name                       = "${var.topic}-workers"
  topic                      = google_pubsub_topic.files.id
  filter                     = "attributes.eventType = \"OBJECT_FINALIZE\" AND NOT hasPrefix(attributes.objectId, \"output/\")"
  ack_deadline_seconds       = 30
  message_retention_duration = "604800s" # after that the publisher publishes the file again

  expiration_policy {
    ttl = "" # never, however long nobody works
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 5
  }
}

resource "google_pubsub_subscription" "dead_letters" {
  project                    = var.project
  name                       = "${var.topic}-dead-letters"
  topic                      = google_pubsub_topic.dead.id
  ack_deadline_seconds       = 30
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }
}

# Google's own accounts. Pub/Sub moves dead letters by publishing them to one topic and acking them in the other's
# subscription; Cloud Storage publishes the notifications.

locals {
  pubsub_agent  = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  storage_agent = "serviceAccount:service-${var.project_number}@gs-project-accounts.iam.gserviceaccount.com"
}

resource "google_pubsub_topic_iam_member" "pubsub_buries" {
  project = var.project
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "pubsub_takes_away" {
  project      = var.project
  subscription = google_pubsub_subscription.workers.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_pubsub_topic_iam_member" "storage_publishes" {
  project = var.project
  topic   = google_pubsub_topic.files.name
  role    = "roles/pubsub.publisher"
  member  = local.storage_agent
}
