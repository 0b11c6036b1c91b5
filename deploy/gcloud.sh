#!/usr/bin/env bash
# The fleet of deploy/terraform, without Terraform. It may be repeated at any time: what is there is left alone or brought
# up to date, and nothing is deleted. A test compares it with the module: the same resources, roles and settings.
#
#   PROJECT=acme-surveys REGION=europe-west4 BUCKET=gs://acme-survey-files IMAGE_TAG=1.0 \
#     MLFLOW_TRACKING_URI=http://mlflow.internal:5000 deploy/gcloud.sh [--dry-run] [--files DIR]
#
#   --dry-run     prints every command and runs none; gcloud need not be installed (give PROJECT_NUMBER then)
#   --files DIR   where the VMs' cloud-configs and the bucket's lifecycle are written; else they are gone afterwards
#
# The settings, each an environment variable; deploy/terraform/variables.tf explains them under the same names.
set -euo pipefail

DRY_RUN='' FILES=''
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) DRY_RUN=yes ;;
    --files) FILES=${2:?--files wants a folder} && shift ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" && exit 2 ;;
  esac
  shift
done

: "${PROJECT:?is the id of the project}"
: "${REGION:?is the region of the bucket and the VMs, like europe-west4}"
: "${BUCKET:?is the bucket, like gs://acme-survey-files}"
: "${IMAGE_TAG:?is the tag of the images worker and publisher}"
: "${MLFLOW_TRACKING_URI:?is the MLflow registry, as the VMs reach it, like http://mlflow.internal:5000}"
NAME=${NAME:-understudy}
QUEUE=${QUEUE:-pubsub://$PROJECT/flights}
PREFIX=${PREFIX-incoming/}
MODEL=${MODEL:-airline-satisfaction}
NETWORK=${NETWORK:-default} SUBNETWORK=${SUBNETWORK:-default} EXTERNAL_IP=${EXTERNAL_IP:-false}
MIN_WORKERS=${MIN_WORKERS:-1} MAX_WORKERS=${MAX_WORKERS:-10} FILES_PER_WORKER=${FILES_PER_WORKER:-100}
SPOT=${SPOT:-true}
WORKER_MACHINE_TYPE=${WORKER_MACHINE_TYPE:-e2-standard-2} WORKER_MEMORY=${WORKER_MEMORY:-6g}
PUBLISHER_MACHINE_TYPE=${PUBLISHER_MACHINE_TYPE:-e2-small} PUBLISHER_MEMORY=${PUBLISHER_MEMORY:-1g}
WORKER_ENVIRONMENT=${WORKER_ENVIRONMENT:-} PUBLISHER_ENVIRONMENT=${PUBLISHER_ENVIRONMENT:-} # NAME=value, one a line
BOOT_IMAGE=${BOOT_IMAGE:-projects/cos-cloud/global/images/family/cos-stable}
KEEP_DAYS=${KEEP_DAYS:-}
NOTIFICATION_CHANNELS=${NOTIFICATION_CHANNELS:-} # names, with commas between them
OLDEST_FILE_SECONDS=${OLDEST_FILE_SECONDS:-900} REJECTED_RATIO=${REJECTED_RATIO:-0.05}

TOPIC=${QUEUE##*/}
HERE=$(cd "$(dirname "$0")" && pwd)
case $QUEUE in "pubsub://$PROJECT/$TOPIC") ;; *) echo "QUEUE is $QUEUE: it is pubsub://$PROJECT/TOPIC" >&2 && exit 2 ;; esac
case $BUCKET in gs://*[!/]) ;; *) echo "BUCKET is $BUCKET: it is gs:// and the bucket's name" >&2 && exit 2 ;; esac
case $PREFIX in # as the programs themselves refuse it, which nobody would see on a VM (ledger/prefix.py)
  /* | *//* | ./* | ../* | */./* | */../* | output/* | labels/* | .understudy* | *[[:cntrl:]]*) fit= ;;
  */* | '') fit=yes ;;
  *) fit= ;;
esac
if [ -z "$fit" ]; then
  echo "PREFIX is $PREFIX: it is a folder like incoming/, not below output/ or labels/" >&2 && exit 2
fi
if [ -n "$KEEP_DAYS" ] && [ -z "$PREFIX" ]; then
  echo "KEEP_DAYS needs a PREFIX: without one, a rule for inputs would delete outputs too" >&2 && exit 2
fi
if [ -z "$FILES" ]; then
  FILES=$(mktemp -d)
  trap 'rm -rf "$FILES"' EXIT
fi
mkdir -p "$FILES"

# --- How things are done

run() { # the command, or with --dry-run its text, quoted for a shell
  if [ -z "$DRY_RUN" ]; then
    echo "+ ${*:1:6} …" >&2
    "$@"
    return
  fi
  local word text=''
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:=@,%+-]* | '') text+=" '${word//\'/\'\\\'\'}'" ;;
      *) text+=" $word" ;;
    esac
  done
  echo "${text# }"
}

exists() { # whether a describe succeeds; with --dry-run nothing is there yet
  [ -z "$DRY_RUN" ] && "$@" --project="$PROJECT" >/dev/null 2>&1
}

ask() { # what a command answers; with --dry-run nothing
  [ -n "$DRY_RUN" ] || "$@" --project="$PROJECT"
}

if [ -n "$DRY_RUN" ]; then
  PROJECT_NUMBER=${PROJECT_NUMBER:-PROJECT_NUMBER}
else
  PROJECT_NUMBER=$(gcloud projects describe "$PROJECT" --format='value(projectNumber)')
fi
WORKER="serviceAccount:$NAME-worker@$PROJECT.iam.gserviceaccount.com"
PUBLISHER="serviceAccount:$NAME-publisher@$PROJECT.iam.gserviceaccount.com"
PUBSUB_AGENT="serviceAccount:service-$PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com"
STORAGE_AGENT="serviceAccount:service-$PROJECT_NUMBER@gs-project-accounts.iam.gserviceaccount.com"

# --- What is made

services() {
  run gcloud services enable artifactregistry.googleapis.com compute.googleapis.com iam.googleapis.com \
    logging.googleapis.com monitoring.googleapis.com pubsub.googleapis.com storage.googleapis.com --project="$PROJECT"
  # Google's own accounts come into being when they are asked for
  run gcloud storage service-agent --project="$PROJECT"
  run gcloud beta services identity create --service=pubsub.googleapis.com --project="$PROJECT"
}

bucket() {
  exists gcloud storage buckets describe "$BUCKET" ||
    run gcloud storage buckets create "$BUCKET" --location="$REGION" --uniform-bucket-level-access \
      --public-access-prevention --soft-delete-duration=7d --project="$PROJECT"
  local rules='{"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 1}}'
  if [ -n "$KEEP_DAYS" ]; then
    local rule='{"action": {"type": "Delete"}, "condition": {"age": %s, "matchesPrefix": ["%s"]}}'
    # shellcheck disable=SC2059 # the format is the line above
    rules+=", $(printf "$rule" "$KEEP_DAYS" "$PREFIX"), $(printf "$rule" "$((2 * KEEP_DAYS))" "output/receipts/$PREFIX")"
  fi
  echo "{\"rule\": [$rules]}" >"$FILES/lifecycle.json"
  run gcloud storage buckets update "$BUCKET" --lifecycle-file="$FILES/lifecycle.json" --project="$PROJECT"
}

queue() {
  local topic
  for topic in "$TOPIC" "$TOPIC-dead"; do
    exists gcloud pubsub topics describe "$topic" || run gcloud pubsub topics create "$topic" --project="$PROJECT"
  done
  local same=(--ack-deadline=30 --message-retention-duration=7d --expiration-period=never
    --min-retry-delay=1s --max-retry-delay=60s --project="$PROJECT")
  exists gcloud pubsub subscriptions describe "$TOPIC-workers" ||
    run gcloud pubsub subscriptions create "$TOPIC-workers" --topic="$TOPIC" \
      --message-filter='attributes.eventType = "OBJECT_FINALIZE" AND NOT hasPrefix(attributes.objectId, "output/")' \
      --dead-letter-topic="$TOPIC-dead" --max-delivery-attempts=5 "${same[@]}"
  exists gcloud pubsub subscriptions describe "$TOPIC-dead-letters" ||
    run gcloud pubsub subscriptions create "$TOPIC-dead-letters" --topic="$TOPIC-dead" "${same[@]}"
}

accounts() {
  exists gcloud iam service-accounts describe "${WORKER#*:}" ||
    run gcloud iam service-accounts create "$NAME-worker" --display-name='Understudy: scores files' --project="$PROJECT"
  exists gcloud iam service-accounts describe "${PUBLISHER#*:}" ||
    run gcloud iam service-accounts create "$NAME-publisher" \
      --display-name='Understudy: publishes files, records dead letters' --project="$PROJECT"
}

images() {
  exists gcloud artifacts repositories describe "$NAME" --location="$REGION" ||
    run gcloud artifacts repositories create "$NAME" --location="$REGION" --repository-format=docker --immutable-tags \
      --description='The images of Understudy: worker, publisher' --project="$PROJECT"
}

on_topic() { run gcloud pubsub topics add-iam-policy-binding "$1" --role="$2" --member="$3" --project="$PROJECT"; }
on_subscription() {
  run gcloud pubsub subscriptions add-iam-policy-binding "$1" --role="$2" --member="$3" --project="$PROJECT"
}

roles() {
  on_topic "$TOPIC-dead" roles/pubsub.publisher "$PUBSUB_AGENT"
  on_subscription "$TOPIC-workers" roles/pubsub.subscriber "$PUBSUB_AGENT"
  on_topic "$TOPIC" roles/pubsub.publisher "$STORAGE_AGENT"

  on_subscription "$TOPIC-workers" roles/pubsub.subscriber "$WORKER"
  on_subscription "$TOPIC-workers" roles/pubsub.viewer "$WORKER"
  on_subscription "$TOPIC-workers" roles/pubsub.viewer "$PUBLISHER"
  on_subscription "$TOPIC-dead-letters" roles/pubsub.subscriber "$PUBLISHER"
  on_subscription "$TOPIC-dead-letters" roles/pubsub.viewer "$PUBLISHER"
  on_topic "$TOPIC" roles/pubsub.publisher "$PUBLISHER"

  local account outputs="projects/_/buckets/${BUCKET#gs://}/objects/output/"
  for account in "$WORKER" "$PUBLISHER"; do
    run gcloud storage buckets add-iam-policy-binding "$BUCKET" --role=roles/storage.objectViewer --member="$account" \
      --condition=None --project="$PROJECT"
    run gcloud storage buckets add-iam-policy-binding "$BUCKET" --role=roles/storage.objectUser --member="$account" \
      --condition="title=outputs-only,expression=resource.name.startsWith('$outputs')" --project="$PROJECT"
    run gcloud artifacts repositories add-iam-policy-binding "$NAME" --location="$REGION" \
      --role=roles/artifactregistry.reader --member="$account" --project="$PROJECT"
    run gcloud projects add-iam-policy-binding "$PROJECT" --role=roles/logging.logWriter --member="$account" \
      --condition=None
  done
}

notification() {
  local there
  there=$(ask gcloud storage buckets notifications list "$BUCKET" --format=json)
  grep -qF "/topics/$TOPIC\"" <<<"$there" ||
    run gcloud storage buckets notifications create "$BUCKET" --topic="$TOPIC" --event-types=OBJECT_FINALIZE \
      --payload-format=json ${PREFIX:+--object-prefix="$PREFIX"} --project="$PROJECT"
}

health_check() {
  exists gcloud compute health-checks describe "$NAME-alive" --global ||
    run gcloud compute health-checks create http "$NAME-alive" --global --port=9464 --request-path=/healthz \
      --check-interval=15s --timeout=5s --healthy-threshold=1 --unhealthy-threshold=4 --project="$PROJECT"
  exists gcloud compute firewall-rules describe "$NAME-health-check" ||
    run gcloud compute firewall-rules create "$NAME-health-check" --network="$NETWORK" --direction=INGRESS \
      --allow=tcp:9464 --source-ranges=35.191.0.0/16,130.211.0.0/22 \
      --target-service-accounts="${PUBLISHER#*:},${WORKER#*:}" --project="$PROJECT"
}

# shellcheck disable=SC2016 # the names that are replaced, not their values
cloud_config() { # program, memory, settings: the template with its names replaced; of two settings the later counts
  local text environment
  environment=$(awk -F= 'NF { last[$1] = $0 } END { for (name in last) print last[name] }' <<<"$3" | LC_ALL=C sort -t= -k1,1)
  text=$(<"$HERE/terraform/cloud-config.yaml")
  text=${text//'${image}'/"$REGION-docker.pkg.dev/$PROJECT/$NAME/$1:$IMAGE_TAG"}
  text=${text//'${image_from}'/registry}
  text=${text//'${memory}'/"$2"}
  text=${text//'${metadata_host}'/169.254.169.254}
  echo "${text//'${environment}'/"${environment//$'\n'/$'\n      '}"}"
}

group() { # program, spot, machine type, memory, settings, size: a template, and the group of VMs made from it
  local program=$1 spot=$2 name="$NAME-$1" template image=(--image="$BOOT_IMAGE") scheduling address=()
  local access=block-project-ssh-keys=true,enable-oslogin=true,serial-port-enable=false
  cloud_config "$program" "$4" "$5" >"$FILES/$program.yaml"
  case $BOOT_IMAGE in
    projects/*/global/images/family/*) image=(--image-family="${BOOT_IMAGE##*/}" --image-project="$(cut -d / -f 2 <<<"$BOOT_IMAGE")") ;;
  esac
  if [ "$spot" = true ]; then
    scheduling=(--provisioning-model=SPOT --instance-termination-action=DELETE --no-restart-on-failure
      --maintenance-policy=TERMINATE)
  else
    scheduling=(--provisioning-model=STANDARD --restart-on-failure --maintenance-policy=MIGRATE)
  fi
  [ "$EXTERNAL_IP" = true ] || address=(--no-address)
  local flags=(--machine-type="$3" "${image[@]}" --boot-disk-type=pd-balanced --boot-disk-size=20GB
    --network="$NETWORK" --subnet="$SUBNETWORK" --region="$REGION" "${address[@]}" "${scheduling[@]}"
    --shielded-secure-boot --shielded-vtpm --shielded-integrity-monitoring
    --service-account="$name@$PROJECT.iam.gserviceaccount.com" --scopes=cloud-platform
    --metadata="google-logging-enabled=true,cos-update-strategy=update_disabled,$access")
  # A template cannot be changed: other settings are another one, by another name.
  template="$name-$({ echo "${flags[@]}" && cat "$FILES/$program.yaml"; } | sha256sum | cut -c -10)"
  exists gcloud compute instance-templates describe "$template" ||
    run gcloud compute instance-templates create "$template" "${flags[@]}" \
      --metadata-from-file=user-data="$FILES/$program.yaml" --project="$PROJECT"
  exists gcloud compute instance-groups managed describe "$name" --region="$REGION" ||
    run gcloud compute instance-groups managed create "$name" --region="$REGION" --base-instance-name="$name" \
      --template="$template" --size="$6" --target-distribution-shape=any --instance-redistribution-type=none \
      --health-check="$NAME-alive" --initial-delay=600 --project="$PROJECT"
  run gcloud compute instance-groups managed rolling-action start-update "$name" --region="$REGION" \
    --version=template="$template" --type=proactive --minimal-action=replace --replacement-method=substitute \
    --max-surge=4 --max-unavailable=0 --project="$PROJECT"
}

vms() {
  local places="UNDERSTUDY_BUCKET=$BUCKET"$'\n'"UNDERSTUDY_QUEUE=$QUEUE"$'\n'"UNDERSTUDY_PREFIX=$PREFIX"
  group worker "$SPOT" "$WORKER_MACHINE_TYPE" "$WORKER_MEMORY" \
    "$places"$'\n'"MLFLOW_TRACKING_URI=$MLFLOW_TRACKING_URI"$'\n'"UNDERSTUDY_MODEL=$MODEL"$'\n'"$WORKER_ENVIRONMENT" "$MIN_WORKERS"
  group publisher false "$PUBLISHER_MACHINE_TYPE" "$PUBLISHER_MEMORY" \
    "$places"$'\n'"UNDERSTUDY_INTERVAL=10m"$'\n'"UNDERSTUDY_SETTLE=10m"$'\n'"$PUBLISHER_ENVIRONMENT" 1
  run gcloud compute instance-groups managed set-autoscaling "$NAME-worker" --region="$REGION" --mode=on \
    --min-num-replicas="$MIN_WORKERS" --max-num-replicas="$MAX_WORKERS" --cool-down-period=120 \
    --update-stackdriver-metric=pubsub.googleapis.com/subscription/num_undelivered_messages \
    --stackdriver-metric-filter="resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"$TOPIC-workers\"" \
    --stackdriver-metric-single-instance-assignment="$FILES_PER_WORKER" \
    --scale-in-control=max-scaled-in-replicas-percent=50,time-window=600 --project="$PROJECT"
}

log_metric() { # name, description, filter
  local what=create
  ! exists gcloud logging metrics describe "$1" || what=update
  run gcloud logging metrics $what "$1" --description="$2" --log-filter="$3" --project="$PROJECT"
}

condition() { # title, query, duration: one condition of an alert
  printf -- "- displayName: '%s'\n  conditionPrometheusQueryLanguage:\n    query: '%s'\n    duration: %s\n    evaluationInterval: 60s\n" "$@"
}

alert() { # title, severity, text, conditions
  local title="$NAME: $1" policy there
  policy=$(printf "displayName: '%s'\ncombiner: OR\nseverity: %s\nnotificationChannels: [%s]\ndocumentation:\n  mimeType: text/markdown\n  content: '%s'\nconditions:\n%s" \
    "$title" "$2" "$NOTIFICATION_CHANNELS" "$3" "$4")
  there=$(ask gcloud monitoring policies list --filter="displayName=\"$title\"" --format='value(name)')
  if [ -n "$there" ]; then
    run gcloud monitoring policies update "$there" --policy="$policy" --project="$PROJECT"
  else
    run gcloud monitoring policies create --policy="$policy" --project="$PROJECT"
  fi
}

# shellcheck disable=SC2016 # the backticks are Markdown
alerts() {
  local metric=${NAME//-/_} subscription=pubsub_googleapis_com:subscription
  local receipt="resource.type=\"gce_instance\" AND \"receipt written\" AND \"$NAME-worker-\""
  log_metric "${metric}_receipts" 'Files that came to an end, however it was' "$receipt"
  log_metric "${metric}_rejected" 'Files that were rejected' \
    "$receipt AND (jsonPayload.status=\"rejected\" OR \"\\\"status\\\": \\\"rejected\\\"\")"

  local of="monitored_resource=\"pubsub_subscription\",project_id=\"$PROJECT\",subscription_id"
  local of_workers="$of=\"$TOPIC-workers\"" of_dead="$of=\"$TOPIC-dead-letters\""
  local receipts="sum(increase(logging_googleapis_com:user_${metric}_receipts{monitored_resource=\"gce_instance\"}[30m]))"
  local rejected="sum(increase(logging_googleapis_com:user_${metric}_rejected{monitored_resource=\"gce_instance\"}[30m]))"
  local wanted='vector(1)'
  [ "$MIN_WORKERS" -gt 0 ] || wanted="(sum(${subscription}_num_undelivered_messages{$of_workers}) > 0)"

  alert 'a file waits for too long' WARNING \
    'More workers are needed, or none works. See `python -m publisher status` and docs/cloud.md, When something is wrong.' \
    "$(condition "the oldest file waits for more than $OLDEST_FILE_SECONDS s" \
      "max(${subscription}_oldest_unacked_message_age{$of_workers}) > $OLDEST_FILE_SECONDS" 300s)"
  alert 'files were given up' ERROR \
    '`python -m publisher dead-letters` says which and why. Mend the cause, then `python -m publisher rescore NAME`.' \
    "$(condition 'a file was dead-lettered' \
      "sum(increase(${subscription}_dead_letter_message_count{$of_workers}[10m])) > 0" 0s &&
      condition 'dead letters wait, and no publisher records them' \
        "max(${subscription}_num_undelivered_messages{$of_dead}) > 0" 1800s)"
  alert 'many files are rejected' WARNING \
    'The receipts say why: output/receipts/. Mostly a column was renamed where the files come from, or a model with other columns was promoted.' \
    "$(condition "more than $(awk "BEGIN { print 100 * $REJECTED_RATIO }") % of the files of half an hour" \
      "$rejected / $receipts > $REJECTED_RATIO and $receipts >= 20" 0s)"
  alert 'no worker is alive' CRITICAL \
    "Nobody pulls from $TOPIC-workers. Look at the group $NAME-worker: no VM (no quota, or no spot capacity, where ordinary VMs help), or VMs whose log says why they do not start (image, registry, roles)." \
    "$(condition 'nobody pulls' \
      "$wanted unless on() (sum(${subscription}_open_streaming_pulls{$of_workers}) > 0)" 600s)"
}

services
bucket
queue
accounts
images
roles
notification
health_check
vms
alerts
[ -n "$DRY_RUN" ] || echo "done; push the images to $REGION-docker.pkg.dev/$PROJECT/$NAME/ if they are not there yet" >&2
