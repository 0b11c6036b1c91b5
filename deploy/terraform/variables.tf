# Where

variable "project" {
  description = "The project's id."
  type        = string
}

variable "project_number" {
  description = "The project's number, which Google's own accounts are named after: gcloud projects describe PROJECT --format='value(projectNumber)'."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.project_number))
    error_message = "project_number is the number of the project, not its id: digits only."
  }
}

variable "region" {
  description = "Of the bucket, the images and the VMs, like europe-west4."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is a region like europe-west4, not a zone."
  }
}

variable "network" {
  description = "The VPC network of the VMs; its firewall lets the health checks in."
  type        = string
  default     = "default"
}

variable "subnetwork" {
  description = "The subnetwork of the VMs, in that region. Without external addresses it needs Private Google Access."
  type        = string
  default     = "default"
}

variable "external_ip" {
  description = "Gives each VM an external address. Better is a subnetwork with Private Google Access, and Cloud NAT where the MLflow registry is beyond it."
  type        = bool
  default     = false
}

# What

variable "name" {
  description = "What the accounts, images and VMs are named after; one for each fleet of a project."
  type        = string
  default     = "understudy"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name))
    error_message = "name has 4 to 20 lower-case letters, digits and hyphens, begins with a letter and does not end with a hyphen."
  }
}

variable "bucket" {
  description = "The bucket's name, without gs://."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket is the bare name of a bucket, without gs://."
  }
}

variable "prefix" {
  description = "The folder that files are dropped into, like incoming/. Empty: the bucket's root, where the bucket's own outputs cause notifications too (docs/cloud.md has the price)."
  type        = string
  default     = "incoming/"

  validation {
    condition     = var.prefix == "" || (strcontains(var.prefix, "/") && !can(regex("^/|//|^(output|labels)/|^[.]understudy|(^|/)[.][.]?(/|$)|[[:cntrl:]]", var.prefix)))
    error_message = "prefix is a plain path like incoming/, not below output/ or labels/: the programs refuse any other."
  }
}

variable "topic" {
  description = "The Pub/Sub topic; its subscriptions are TOPIC-workers and TOPIC-dead-letters."
  type        = string
  default     = "flights"

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9._~+%-]{2,200}$", var.topic)) && !startswith(var.topic, "goog")
    error_message = "topic begins with a letter (not with goog) and has 3 to 200 letters, digits and -._~+%."
  }
}

variable "keep_days" {
  description = "After so many days inputs are deleted, and after twice as many their receipts: a receipt must outlive its input. Null: everything is kept."
  type        = number
  default     = null

  validation {
    condition     = var.keep_days == null ? true : var.keep_days >= 1 && var.prefix != ""
    error_message = "keep_days is at least 1, and needs a prefix: without one, a rule for inputs would delete outputs too."
  }
}

variable "image_tag" {
  description = "The tag of the images worker and publisher in the module's repository. Tags do not move: a new version is a new tag, and rolls out."
  type        = string
}

variable "mlflow_tracking_uri" {
  description = "The MLflow registry, as the VMs reach it, like http://mlflow.internal:5000. No password in it: whoever sees the VMs sees their settings."
  type        = string

  validation {
    condition     = can(regex("^https?://", var.mlflow_tracking_uri))
    error_message = "mlflow_tracking_uri is the http(s) address of a tracking server: VMs share no file."
  }
}

variable "model" {
  description = "The registered model whose aliases the workers follow."
  type        = string
  default     = "airline-satisfaction"
}

variable "worker_environment" {
  description = "Further settings of the workers (python -m worker --help), like { UNDERSTUDY_SHADOW_FRACTION = \"0.1\" }."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name, value in var.worker_environment :
      can(regex("^[A-Z][A-Z0-9_]*$", name)) && !can(regex("\n", value)) && !contains(["UNDERSTUDY_LISTEN", "UNDERSTUDY_DRAIN_SECONDS"], name)
    ])
    error_message = "worker_environment has names in capitals and values of one line; UNDERSTUDY_LISTEN and UNDERSTUDY_DRAIN_SECONDS are the VM's own."
  }
}

variable "publisher_environment" {
  description = "Further settings of the publisher (python -m publisher --help)."
  type        = map(string)
  default     = {}

  validation {
    condition = alltrue([
      for name, value in var.publisher_environment :
      can(regex("^[A-Z][A-Z0-9_]*$", name)) && !can(regex("\n", value)) && !contains(["UNDERSTUDY_LISTEN", "UNDERSTUDY_DRAIN_SECONDS"], name)
    ])
    error_message = "publisher_environment has names in capitals and values of one line; UNDERSTUDY_LISTEN and UNDERSTUDY_DRAIN_SECONDS are the VM's own."
  }
}

# How many, how large

variable "min_workers" {
  description = "The fewest VMs with workers. With 0 the first file waits for a VM to start, two minutes or so."
  type        = number
  default     = 1

  validation {
    condition     = var.min_workers >= 0 && floor(var.min_workers) == var.min_workers
    error_message = "min_workers is a whole number, 0 or more."
  }
}

variable "max_workers" {
  description = "The most VMs with workers."
  type        = number
  default     = 10

  validation {
    condition     = var.max_workers >= max(var.min_workers, 1)
    error_message = "max_workers is at least 1, and no smaller than min_workers."
  }
}

variable "files_per_worker" {
  description = "How many waiting files are one VM's share: as many as it scores within the time that a file may wait. docs/scaling.md says how to find it."
  type        = number
  default     = 100

  validation {
    condition     = var.files_per_worker > 0
    error_message = "files_per_worker is above 0."
  }
}

variable "spot" {
  description = "Workers on spot VMs: cheaper, and taken away now and then with 30 seconds' notice, in which they finish what they have in hand."
  type        = bool
  default     = true
}

variable "worker_machine_type" {
  description = "One scoring process, and one for the shadow, runs per CPU."
  type        = string
  default     = "e2-standard-2"
}

variable "worker_memory" {
  description = "What the worker's container may use; leave the VM about 1.5 GB."
  type        = string
  default     = "6g"

  validation {
    condition     = can(regex("^[0-9]+[mg]$", var.worker_memory))
    error_message = "worker_memory is written as Docker has it, like 6g or 1500m."
  }
}

variable "publisher_machine_type" {
  description = "The publisher lists names, and little else."
  type        = string
  default     = "e2-small"
}

variable "publisher_memory" {
  description = "What the publisher's container may use."
  type        = string
  default     = "1g"

  validation {
    condition     = can(regex("^[0-9]+[mg]$", var.publisher_memory))
    error_message = "publisher_memory is written as Docker has it, like 1g or 800m."
  }
}

variable "boot_image" {
  description = "Container-Optimized OS. The newest of its family is taken when a VM is made; name one image to pin it."
  type        = string
  default     = "projects/cos-cloud/global/images/family/cos-stable"
}

# Who is told

variable "notification_channels" {
  description = "Names of the Cloud Monitoring channels that alerts go to, like projects/PROJECT/notificationChannels/123. Without one, incidents are seen in the console only."
  type        = list(string)
  default     = []
}

variable "oldest_file_seconds" {
  description = "An alert is raised where a file waits for longer than this."
  type        = number
  default     = 900
}

variable "rejected_ratio" {
  description = "An alert is raised where a larger share of the files of half an hour (20 or more) is rejected."
  type        = number
  default     = 0.05

  validation {
    condition     = var.rejected_ratio > 0 && var.rejected_ratio < 1
    error_message = "rejected_ratio is a share between 0 and 1."
  }
}
