resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:The images hold code and no data; Google's own keys will do
  project       = var.project
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  description   = "The images of Understudy: worker, publisher"

  docker_config {
    immutable_tags = true # what a template names is what every VM of it runs
  }
}

locals {
  repository = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}
