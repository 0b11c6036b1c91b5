# The same module with its other choices, in a state of its own.

mock_provider "google" {}

override_resource {
  target = google_service_account.worker
  values = {
    email  = "under-study-worker@acme-surveys.iam.gserviceaccount.com"
    member = "serviceAccount:under-study-worker@acme-surveys.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.publisher
  values = {
    email  = "under-study-publisher@acme-surveys.iam.gserviceaccount.com"
    member = "serviceAccount:under-study-publisher@acme-surveys.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_pubsub_topic.files
  values = { id = "projects/acme-surveys/topics/surveys" }
}

override_resource {
  target = google_pubsub_topic.dead
  values = { id = "projects/acme-surveys/topics/surveys-dead" }
}

override_resource {
  target = google_compute_health_check.alive
  values = { id = "projects/acme-surveys/global/healthChecks/under-study-alive" }
}

override_resource {
  target = google_compute_region_instance_group_manager.program["worker"]
  values = { id = "projects/acme-surveys/regions/europe-west4/instanceGroupManagers/under-study-worker" }
}

override_resource {
  target = google_artifact_registry_repository.images
  values = { name = "under-study" }
}

variables {
  project             = "acme-surveys"
  project_number      = "123456789012"
  region              = "europe-west4"
  bucket              = "acme-survey-files"
  image_tag           = "1.0"
  mlflow_tracking_uri = "http://mlflow.internal:5000"
}

run "otherwise" {
  command = apply

  variables {
    name               = "under-study"
    prefix             = ""
    topic              = "surveys"
    spot               = false
    external_ip        = true
    min_workers        = 0
    max_workers        = 1
    worker_environment = { UNDERSTUDY_SHADOW_FRACTION = "0.1", UNDERSTUDY_MODEL = "churn" }
  }

  assert {
    condition     = google_compute_instance_template.program["worker"].scheduling[0].provisioning_model == "STANDARD" && google_compute_instance_template.program["worker"].scheduling[0].on_host_maintenance == "MIGRATE"
    error_message = "spot = false makes spot VMs"
  }
  assert {
    condition     = length(google_compute_instance_template.program["worker"].network_interface[0].access_config) == 1
    error_message = "external_ip gives no address"
  }
  assert {
    condition     = strcontains(google_compute_instance_template.program["worker"].metadata["user-data"], "\n      UNDERSTUDY_MODEL=churn\n") && strcontains(google_compute_instance_template.program["worker"].metadata["user-data"], "\n      UNDERSTUDY_SHADOW_FRACTION=0.1\n")
    error_message = "the workers' further settings are lost"
  }
  assert {
    condition     = startswith(google_monitoring_alert_policy.alert["nobody"].conditions[0].condition_prometheus_query_language[0].query, "(sum(pubsub_googleapis_com:subscription_num_undelivered_messages{")
    error_message = "with no worker wanted, an idle night wakes somebody up"
  }
  assert {
    condition     = google_logging_metric.rejected.name == "under_study_rejected" && google_pubsub_subscription.dead_letters.name == "surveys-dead-letters"
    error_message = "the names do not follow name and topic"
  }
}
