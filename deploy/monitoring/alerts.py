"""When somebody is to be told: one list, from which Prometheus's rules and the manual's table come."""

from __future__ import annotations

from dataclasses import dataclass

MANUAL = "docs/operations.md"


@dataclass(frozen=True)
class Alert:
    """`expression` held for `lasting`: then `summary` is said, and `runbook` (an anchor of the manual) says what to do.

    `severity`: `page` where files wait, or may be answered wrongly, until somebody acts; `ticket` where it can wait for
    the morning. In `summary`, {{ … }} is Prometheus's own.
    """

    name: str
    expression: str
    lasting: str
    severity: str
    summary: str
    runbook: str


ALERTS = (
    Alert(
        "BacklogOld",
        "max(understudy_backlog_oldest_seconds) > 900 or max(understudy_unanswered_oldest_seconds) > 900",
        "5m",
        "page",
        "The oldest file without an answer has waited for {{ $value | humanizeDuration }}",
        "the-backlog-grows",
    ),
    Alert(
        "DeadLetters",
        "sum(increase(understudy_dead_letters_total[1h])) > 0",
        "0m",
        "ticket",
        "{{ $value | humanize }} files were given up within the hour",
        "dead-letters",
    ),
    Alert(
        "ManyFilesRejected",
        'sum(increase(understudy_files_total{status="rejected"}[30m]))'
        ' / sum(increase(understudy_files_total{status=~"scored|rejected"}[30m])) > 0.1'
        ' and sum(increase(understudy_files_total{status=~"scored|rejected"}[30m])) >= 10',
        "5m",
        "ticket",
        "{{ $value | humanizePercentage }} of the files of the last half hour were rejected",
        "rejected-files",
    ),
    Alert(
        "ManyRowsRejected",
        "sum(increase(understudy_rows_rejected_total[30m])) / sum(increase(understudy_rows_total[30m])) > 0.1"
        " and sum(increase(understudy_rows_total[30m])) >= 1000",
        "5m",
        "ticket",
        "{{ $value | humanizePercentage }} of the rows of the last half hour could not be scored",
        "rejected-files",
    ),
    Alert(
        "ManyTextsUnknown",
        "sum by (column) (increase(understudy_rows_unknown_total[30m]))"
        " / scalar(sum(increase(understudy_rows_total[30m]))) > 0.1"
        " and on () sum(increase(understudy_rows_total[30m])) >= 1000",
        "5m",
        "ticket",
        "{{ $labels.column }}: {{ $value | humanizePercentage }} of the rows have a text unknown to the model",
        "unknown-texts",
    ),
    Alert(
        "NoWorkerAlive",
        'absent(up{job="worker"} == 1)',
        "5m",
        "page",
        "No worker answers",
        "no-worker-is-alive",
    ),
    Alert(
        "NoPublisherAlive",
        'absent(up{job="publisher"} == 1)',
        "15m",
        "page",
        "No publisher answers: new files are found by notifications alone, and dead letters by nobody",
        "no-worker-is-alive",
    ),
    Alert(
        "Stalled",
        "understudy_healthy == 0",
        "5m",
        "page",
        "{{ $labels.job }} {{ $labels.instance }} stands still",
        "a-worker-is-stalled",
    ),
    Alert(
        "NotReady",
        "understudy_ready == 0",
        "15m",
        "page",
        "{{ $labels.job }} {{ $labels.instance }} cannot do its work",
        "a-worker-is-stalled",
    ),
    Alert(
        "AttemptsFail",
        "sum(increase(understudy_failed_attempts_total[15m])) > 20",
        "5m",
        "page",
        "{{ $value | humanize }} attempts failed within a quarter of an hour",
        "dead-letters",
    ),
    Alert(
        "RegistryUnreachable",
        "understudy_registry_reachable == 0",
        "10m",
        "ticket",
        "{{ $labels.job }} {{ $labels.instance }} cannot reach the model registry; what is in force goes on serving",
        "the-registry-is-down",
    ),
    Alert(
        "ModelRefused",
        "max by (alias) (understudy_model_refused) > 0",
        "1m",
        "page",
        "The version that {{ $labels.alias }} names must not serve; the one before goes on",
        "a-wrong-model-was-promoted",
    ),
    Alert(
        "ModelsDiffer",
        'count(count by (version) (understudy_model_version_info{alias="production"})) > 1',
        "15m",
        "ticket",
        "Workers serve {{ $value }} different versions as production",
        "a-wrong-model-was-promoted",
    ),
    Alert(
        "ShadowFails",
        "sum(increase(understudy_shadow_failures_total[30m])) > 10",
        "10m",
        "ticket",
        "{{ $value | humanize }} shadows failed or were skipped within half an hour; production is not affected",
        "the-shadow-fails",
    ),
    Alert(
        "PassesFail",
        "sum by (instance) (increase(understudy_failed_steps_total[15m])) > 3",
        "5m",
        "ticket",
        "Steps of {{ $labels.instance }} fail again and again; its log says which",
        "the-backlog-grows",
    ),
)


def rules() -> dict[str, object]:
    """The rules as Prometheus reads them."""
    return {
        "groups": [
            {
                "name": "understudy",
                "rules": [
                    {
                        "alert": alert.name,
                        "expr": alert.expression,
                        "for": alert.lasting,
                        "labels": {"severity": alert.severity},
                        "annotations": {"summary": alert.summary, "runbook": f"{MANUAL}#{alert.runbook}"},
                    }
                    for alert in ALERTS
                ],
            }
        ]
    }
