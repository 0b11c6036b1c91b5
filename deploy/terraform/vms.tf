# The workers, as many as the backlog asks for, and one publisher. Both are VMs from one cloud-config.
#
# The publisher is a VM, and not a job that is started every ten minutes: it remembers what it published within the last
# hour. A job that starts again would publish the whole backlog again at each start, just when there is one.

locals {
  programs = {
    worker = {
      machine_type = var.worker_machine_type
      memory       = var.worker_memory
      spot         = var.spot
      environment = merge({
        UNDERSTUDY_BUCKET   = "gs://${google_storage_bucket.files.name}"
        UNDERSTUDY_QUEUE    = "pubsub://${var.project}/${google_pubsub_topic.files.name}"
        UNDERSTUDY_PREFIX   = var.prefix
        MLFLOW_TRACKING_URI = var.mlflow_tracking_uri
        UNDERSTUDY_MODEL    = var.model
      }, var.worker_environment)
    }
    publisher = {
      machine_type = var.publisher_machine_type
      memory       = var.publisher_memory
      spot         = false
      environment = merge({
        UNDERSTUDY_BUCKET   = "gs://${google_storage_bucket.files.name}"
        UNDERSTUDY_QUEUE    = "pubsub://${var.project}/${google_pubsub_topic.files.name}"
        UNDERSTUDY_PREFIX   = var.prefix
        UNDERSTUDY_INTERVAL = "10m"
        UNDERSTUDY_SETTLE   = "10m" # younger objects are left to their notification
      }, var.publisher_environment)
    }
  }

  cloud_config = {
    for name, program in local.programs : name => templatefile("${path.module}/cloud-config.yaml", {
      image         = "${local.repository}/${name}:${var.image_tag}"
      image_from    = "registry"
      memory        = program.memory
      metadata_host = "169.254.169.254"
      environment   = join("\n      ", [for key, value in program.environment : "${key}=${value}"])
    })
  }
}

resource "google_compute_instance_template" "program" {
  #checkov:skip=CKV_GCP_40:No VM has an external address, unless external_ip asks for one; a test holds that
  for_each = local.programs

  project      = var.project
  name_prefix  = "${var.name}-${each.key}-"
  region       = var.region
  machine_type = each.value.machine_type

  disk {
    source_image = var.boot_image
    boot         = true
    auto_delete  = true
    disk_type    = "pd-balanced"
    disk_size_gb = 20
  }

  network_interface {
    network    = var.network
    subnetwork = var.subnetwork

    dynamic "access_config" {
      for_each = var.external_ip ? [true] : []
      content {}
    }
  }

  scheduling {
    provisioning_model          = each.value.spot ? "SPOT" : "STANDARD"
    preemptible                 = each.value.spot
    automatic_restart           = !each.value.spot
    on_host_maintenance         = each.value.spot ? "TERMINATE" : "MIGRATE"
    instance_termination_action = each.value.spot ? "DELETE" : null # nothing on its disk is missed
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  service_account {
    email  = local.accounts[each.key].email
    scopes = ["cloud-platform"] # what the account may do, its roles decide
  }

  metadata = {
    user-data              = local.cloud_config[each.key]
    google-logging-enabled = "true"            # containers' output goes to Cloud Logging
    cos-update-strategy    = "update_disabled" # a new VM has a newer image; a running one is left alone
    block-project-ssh-keys = "true"
    enable-oslogin         = "true"
    serial-port-enable     = "false"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_region_instance_group_manager" "program" {
  for_each = local.programs

  project            = var.project
  region             = var.region
  name               = "${var.name}-${each.key}"
  base_instance_name = "${var.name}-${each.key}"
  target_size        = each.key == "publisher" ? 1 : null # the workers' is the autoscaler's

  version {
    instance_template = google_compute_instance_template.program[each.key].self_link_unique
  }

  # Spot VMs are had in whichever zone has some; no zone is worth moving a worker for.
  distribution_policy_target_shape = "ANY"

  update_policy {
    type                         = "PROACTIVE"
    minimal_action               = "REPLACE"
    replacement_method           = "SUBSTITUTE"
    instance_redistribution_type = "NONE"
    max_surge_fixed              = 4 # no fewer than the region has zones: most have 3, some have 4
    max_unavailable_fixed        = 0 # a new version takes over before the old one goes
  }

  auto_healing_policies {
    health_check      = google_compute_health_check.alive.id
    initial_delay_sec = 600 # to start, pull the image and fetch the models
  }
}

resource "google_compute_region_autoscaler" "workers" {
  project = var.project
  region  = var.region
  name    = "${var.name}-worker"
  target  = google_compute_region_instance_group_manager.program["worker"].id

  autoscaling_policy {
    mode            = "ON"
    min_replicas    = var.min_workers
    max_replicas    = var.max_workers
    cooldown_period = 120 # about as long as a VM takes to its first file

    metric {
      name                       = "pubsub.googleapis.com/subscription/num_undelivered_messages"
      filter                     = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.workers.name}\""
      single_instance_assignment = var.files_per_worker
    }

    # The backlog is gone before the files in hand are: half of the VMs at most go within ten minutes.
    scale_in_control {
      time_window_sec = 600
      max_scaled_in_replicas {
        percent = 50
      }
    }
  }
}

resource "google_compute_health_check" "alive" {
  project             = var.project
  name                = "${var.name}-alive"
  check_interval_sec  = 15
  timeout_sec         = 5
  healthy_threshold   = 1
  unhealthy_threshold = 4

  http_health_check {
    port         = 9464
    request_path = "/healthz"
  }
}

# From where Google's health checks come: https://cloud.google.com/load-balancing/docs/health-checks#firewall_rules
resource "google_compute_firewall" "health_check" {
  project                 = var.project
  name                    = "${var.name}-health-check"
  network                 = var.network
  direction               = "INGRESS"
  source_ranges           = ["35.191.0.0/16", "130.211.0.0/22"]
  target_service_accounts = [for account in local.accounts : account.email]

  allow {
    protocol = "tcp"
    ports    = ["9464"]
  }
}
