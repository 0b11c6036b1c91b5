# Run without Google: terraform test. What the provider would compute comes from here.

mock_provider "google" {}

override_resource {
  target = google_service_account.worker
  values = {
    email  = "understudy-worker@acme-surveys.iam.gserviceaccount.com"
    member = "serviceAccount:understudy-worker@acme-surveys.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_service_account.publisher
  values = {
    email  = "understudy-publisher@acme-surveys.iam.gserviceaccount.com"
    member = "serviceAccount:understudy-publisher@acme-surveys.iam.gserviceaccount.com"
  }
}

override_resource {
  target = google_pubsub_topic.files
  values = { id = "projects/acme-surveys/topics/flights" }
}

override_resource {
  target = google_pubsub_topic.dead
  values = { id = "projects/acme-surveys/topics/flights-dead" }
}

override_resource {
  target = google_compute_health_check.alive
  values = { id = "projects/acme-surveys/global/healthChecks/understudy-alive" }
}

override_resource {
  target = google_compute_region_instance_group_manager.program["worker"]
  values = { id = "projects/acme-surveys/regions/europe-west4/instanceGroupManagers/understudy-worker" }
}

override_resource {
  target = google_artifact_registry_repository.images
  values = { name = "understudy" }
}

variables {
  project             = "acme-surveys"
  project_number      = "123456789012"
  region              = "europe-west4"
  bucket              = "acme-survey-files"
  image_tag           = "1.0"
  mlflow_tracking_uri = "http://mlflow.internal:5000"
}

run "as_it_comes" {
  command = apply

  # Queue

  assert {
    condition     = google_pubsub_subscription.workers.filter == "attributes.eventType = \"OBJECT_FINALIZE\" AND NOT hasPrefix(attributes.objectId, \"output/\")"
    error_message = "workers get something else than new objects that are not our outputs"
  }
  assert {
    condition = (
      google_pubsub_subscription.workers.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead.id &&
      google_pubsub_subscription.workers.dead_letter_policy[0].max_delivery_attempts == 5
    )
    error_message = "a file that kills its scorer is not set aside after five deliveries"
  }
  assert {
    condition = alltrue([
      for subscription in [google_pubsub_subscription.workers, google_pubsub_subscription.dead_letters] :
      subscription.expiration_policy[0].ttl == "" && subscription.message_retention_duration == "604800s" &&
      subscription.retry_policy[0].minimum_backoff == "1s" && subscription.retry_policy[0].maximum_backoff == "60s"
    ])
    error_message = "a subscription expires, forgets within a week, or repeats without a pause"
  }
  assert {
    condition     = google_pubsub_subscription.dead_letters.topic == google_pubsub_topic.dead.id
    error_message = "nobody keeps the dead letters"
  }

  # Bucket

  assert {
    condition     = google_storage_bucket.files.uniform_bucket_level_access && google_storage_bucket.files.public_access_prevention == "enforced" && !google_storage_bucket.files.force_destroy
    error_message = "the bucket can be made public, or removed with what is in it"
  }
  assert {
    condition     = [for rule in google_storage_bucket.files.lifecycle_rule : one(rule.action).type] == ["AbortIncompleteMultipartUpload"]
    error_message = "something is deleted though nobody asked for it"
  }
  assert {
    condition = (
      google_storage_notification.uploads.payload_format == "JSON_API_V1" &&
      google_storage_notification.uploads.event_types == toset(["OBJECT_FINALIZE"]) &&
      google_storage_notification.uploads.object_name_prefix == "incoming/" &&
      google_storage_notification.uploads.topic == google_pubsub_topic.files.id
    )
    error_message = "the notification is not about new objects below the prefix"
  }

  # Who may do what

  assert {
    condition     = google_pubsub_topic_iam_member.pubsub_buries.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com" && google_pubsub_topic_iam_member.pubsub_buries.topic == "flights-dead"
    error_message = "Pub/Sub may not write dead letters"
  }
  assert {
    condition     = google_pubsub_topic_iam_member.storage_publishes.member == "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" && google_pubsub_topic_iam_member.storage_publishes.topic == "flights"
    error_message = "Cloud Storage may not publish notifications"
  }
  assert {
    condition = alltrue([
      for grant in google_storage_bucket_iam_member.writes_outputs :
      grant.condition[0].expression == "resource.name.startsWith('projects/_/buckets/acme-survey-files/objects/output/')"
    ])
    error_message = "a program may write outside output/"
  }
  assert {
    condition = toset([
      for grant in google_pubsub_subscription_iam_member.programs : "${grant.role} ${grant.subscription} ${grant.member}"
      ]) == toset([
      "roles/pubsub.subscriber flights-workers serviceAccount:understudy-worker@acme-surveys.iam.gserviceaccount.com",
      "roles/pubsub.viewer flights-workers serviceAccount:understudy-worker@acme-surveys.iam.gserviceaccount.com",
      "roles/pubsub.viewer flights-workers serviceAccount:understudy-publisher@acme-surveys.iam.gserviceaccount.com",
      "roles/pubsub.subscriber flights-dead-letters serviceAccount:understudy-publisher@acme-surveys.iam.gserviceaccount.com",
      "roles/pubsub.viewer flights-dead-letters serviceAccount:understudy-publisher@acme-surveys.iam.gserviceaccount.com",
    ])
    error_message = "the programs' roles on the subscriptions are not those of docs/cloud.md"
  }
  assert {
    condition     = toset([for grant in google_project_iam_member.logs : grant.role]) == toset(["roles/logging.logWriter"])
    error_message = "a program has a role on the whole project"
  }

  # VMs

  assert {
    condition = (
      google_compute_instance_template.program["worker"].scheduling[0].provisioning_model == "SPOT" &&
      google_compute_instance_template.program["worker"].scheduling[0].preemptible &&
      !google_compute_instance_template.program["worker"].scheduling[0].automatic_restart &&
      google_compute_instance_template.program["worker"].scheduling[0].instance_termination_action == "DELETE"
    )
    error_message = "workers are no spot VMs"
  }
  assert {
    condition     = google_compute_instance_template.program["publisher"].scheduling[0].provisioning_model == "STANDARD"
    error_message = "the publisher's VM may be taken away"
  }
  assert {
    condition = alltrue([
      for name, template in google_compute_instance_template.program :
      template.shielded_instance_config[0].enable_secure_boot &&
      length(template.network_interface[0].access_config) == 0 &&
      strcontains(template.disk[0].source_image, "cos-cloud") &&
      template.service_account[0].email == "understudy-${name}@acme-surveys.iam.gserviceaccount.com"
    ])
    error_message = "a VM is not shielded, has an external address, another system, or another program's account"
  }
  assert {
    condition = alltrue([
      for name, template in google_compute_instance_template.program :
      strcontains(template.metadata["user-data"], "IMAGE=europe-west4-docker.pkg.dev/acme-surveys/understudy/${name}:1.0\n") &&
      strcontains(template.metadata["user-data"], "\n      UNDERSTUDY_BUCKET=gs://acme-survey-files\n") &&
      strcontains(template.metadata["user-data"], "\n      UNDERSTUDY_QUEUE=pubsub://acme-surveys/flights") &&
      yamldecode(template.metadata["user-data"]).runcmd[0] == "systemctl daemon-reload"
    ])
    error_message = "a VM runs something else than its program on this bucket and queue"
  }
  assert {
    condition     = strcontains(google_compute_instance_template.program["publisher"].metadata["user-data"], "\n      UNDERSTUDY_INTERVAL=10m\n")
    error_message = "the publisher lists the bucket more often than every ten minutes"
  }

  # How many

  assert {
    condition = (
      google_compute_region_autoscaler.workers.autoscaling_policy[0].metric[0].name == "pubsub.googleapis.com/subscription/num_undelivered_messages" &&
      google_compute_region_autoscaler.workers.autoscaling_policy[0].metric[0].filter == "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"flights-workers\"" &&
      google_compute_region_autoscaler.workers.autoscaling_policy[0].metric[0].single_instance_assignment == 100
    )
    error_message = "the workers' number does not follow the backlog"
  }
  assert {
    condition     = google_compute_region_instance_group_manager.program["publisher"].target_size == 1
    error_message = "there is not one publisher"
  }
  assert {
    condition = alltrue([
      for group in google_compute_region_instance_group_manager.program :
      group.auto_healing_policies[0].health_check == google_compute_health_check.alive.id &&
      group.update_policy[0].type == "PROACTIVE" && group.update_policy[0].max_unavailable_fixed == 0 &&
      group.update_policy[0].max_surge_fixed >= 3
    ])
    error_message = "a VM that hangs is not replaced, or a rollout stops workers before others run"
  }
  assert {
    condition = (
      google_compute_health_check.alive.http_health_check[0].port == 9464 &&
      google_compute_health_check.alive.http_health_check[0].request_path == "/healthz" &&
      one(google_compute_firewall.health_check.allow).ports == tolist(["9464"]) &&
      google_compute_firewall.health_check.source_ranges == toset(["35.191.0.0/16", "130.211.0.0/22"])
    )
    error_message = "health checks do not reach /healthz, or others do"
  }

  # Alerts

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.alert)) == toset(["oldest", "dead", "rejected", "nobody"])
    error_message = "an alert is missing"
  }
  assert {
    condition     = google_logging_metric.receipts.name == "understudy_receipts" && strcontains(google_monitoring_alert_policy.alert["rejected"].conditions[0].condition_prometheus_query_language[0].query, "user_understudy_receipts{")
    error_message = "the rejection ratio does not come from the log's metrics"
  }
}

run "old_files_go" {
  command = apply

  variables {
    keep_days = 30
  }

  assert {
    condition = jsonencode({
      for rule in google_storage_bucket.files.lifecycle_rule : one(one(rule.condition).matches_prefix) => one(rule.condition).age
      if one(rule.action).type == "Delete"
    }) == jsonencode({ "incoming/" = 30, "output/receipts/incoming/" = 60 })
    error_message = "a receipt does not outlive its input"
  }
}

run "mistakes_are_named" {
  command = plan

  variables {
    project_number      = "acme-surveys"
    region              = "europe-west4-a"
    name                = "Understudy"
    bucket              = "gs://acme-survey-files"
    prefix              = "output/again/"
    topic               = "goog-flights"
    mlflow_tracking_uri = "sqlite:///mlflow.db"
    min_workers         = 3
    max_workers         = 2
    files_per_worker    = 0
    worker_memory       = "6 GB"
    publisher_memory    = "lots"
    rejected_ratio      = 5
    worker_environment  = { UNDERSTUDY_DRAIN_SECONDS = "60" }
    publisher_environment = {
      UNDERSTUDY_SETTLE = "1m\nUNDERSTUDY_BUCKET=gs://other"
    }
  }

  expect_failures = [
    var.project_number, var.region, var.name, var.bucket, var.prefix, var.topic, var.mlflow_tracking_uri,
    var.max_workers, var.files_per_worker, var.worker_memory, var.publisher_memory, var.rejected_ratio,
    var.worker_environment, var.publisher_environment,
  ]
}

run "keeping_needs_a_prefix" {
  command = plan

  variables {
    prefix    = ""
    keep_days = 30
  }

  expect_failures = [var.keep_days]
}
