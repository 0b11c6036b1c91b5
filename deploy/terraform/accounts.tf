# One account per program, with nothing but what it uses; docs/cloud.md has the same as a table.

resource "google_service_account" "worker" {
  project      = var.project
  account_id   = "${var.name}-worker"
  display_name = "Understudy: scores files"
}

resource "google_service_account" "publisher" {
  project      = var.project
  account_id   = "${var.name}-publisher"
  display_name = "Understudy: publishes files, records dead letters"
}

locals {
  accounts = {
    worker    = google_service_account.worker
    publisher = google_service_account.publisher
  }
}

resource "google_storage_bucket_iam_member" "reads" {
  for_each = local.accounts

  bucket = google_storage_bucket.files.name
  role   = "roles/storage.objectViewer"
  member = each.value.member
}

resource "google_storage_bucket_iam_member" "writes_outputs" {
  for_each = local.accounts

  bucket = google_storage_bucket.files.name
  role   = "roles/storage.objectUser"
  member = each.value.member

  condition {
    title      = "outputs-only"
    expression = "resource.name.startsWith('projects/_/buckets/${google_storage_bucket.files.name}/objects/output/')"
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  project = var.project
  topic   = google_pubsub_topic.files.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.publisher.member
}

resource "google_pubsub_subscription_iam_member" "programs" {
  for_each = {
    "worker takes files"              = [google_pubsub_subscription.workers.name, "subscriber", "worker"]
    "worker looks at its queue"       = [google_pubsub_subscription.workers.name, "viewer", "worker"]
    "publisher looks at the queue"    = [google_pubsub_subscription.workers.name, "viewer", "publisher"]
    "publisher takes dead letters"    = [google_pubsub_subscription.dead_letters.name, "subscriber", "publisher"]
    "publisher looks at dead letters" = [google_pubsub_subscription.dead_letters.name, "viewer", "publisher"]
  }

  project      = var.project
  subscription = each.value[0]
  role         = "roles/pubsub.${each.value[1]}"
  member       = local.accounts[each.value[2]].member
}

# What a VM does in a program's name: it pulls the image, and sends the log.

resource "google_artifact_registry_repository_iam_member" "pulls" {
  for_each = local.accounts

  project    = var.project
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = each.value.member
}

resource "google_project_iam_member" "logs" {
  for_each = local.accounts

  project = var.project
  role    = "roles/logging.logWriter"
  member  = each.value.member
}
