output "bucket" {
  description = "What UNDERSTUDY_BUCKET is set to."
  value       = "gs://${google_storage_bucket.files.name}"
}

output "queue" {
  description = "What UNDERSTUDY_QUEUE is set to."
  value       = "pubsub://${var.project}/${google_pubsub_topic.files.name}"
}

output "repository" {
  description = "Where the images are pushed to, as REPOSITORY/worker:TAG and REPOSITORY/publisher:TAG."
  value       = local.repository
}

output "accounts" {
  description = "The programs' service accounts."
  value       = { for name, account in local.accounts : name => account.email }
}

output "groups" {
  description = "The programs' instance groups."
  value       = { for name, group in google_compute_region_instance_group_manager.program : name => group.name }
}
