"""gcloud.sh: it makes the fleet of the Terraform module, and a second run makes nothing again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.cloud_config import rendered
from tests.vms import gcloud_facts, module_facts
from tests.vms.terraform import ROOT, resources

SCRIPT = ROOT / "deploy" / "gcloud.sh"
AS_IT_COMES = {
    "PROJECT": "acme-surveys",
    "PROJECT_NUMBER": "123456789012",
    "REGION": "europe-west4",
    "BUCKET": "gs://acme-survey-files",
    "IMAGE_TAG": "1.0",
    "MLFLOW_TRACKING_URI": "http://mlflow.internal:5000",
}
# The runs of the module's own tests, and the same settings for the script
RUNS = {
    "as_it_comes": {},
    "otherwise": {
        "NAME": "under-study",
        "PREFIX": "",
        "QUEUE": "pubsub://acme-surveys/surveys",
        "SPOT": "false",
        "EXTERNAL_IP": "true",
        "MIN_WORKERS": "0",
        "MAX_WORKERS": "1",
        "WORKER_ENVIRONMENT": "UNDERSTUDY_SHADOW_FRACTION=0.1\nUNDERSTUDY_MODEL=churn",
    },
    "old_files_go": {"KEEP_DAYS": "30"},
}


def gcloud_sh(*arguments: str | Path, path: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{path}:{os.environ['PATH']}", **settings}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("run", RUNS)
def test_the_script_makes_what_the_module_makes(tested_module, tmp_path, run):
    done = gcloud_sh("--dry-run", "--files", tmp_path, **AS_IT_COMES, **RUNS[run])
    assert (done.returncode, done.stderr) == (0, "")

    by_script = gcloud_facts.fleet_of(gcloud_facts.commands(done.stdout))
    by_module = module_facts.fleet_of(resources(tested_module, run))

    assert len(by_module.resources) == 22
    assert len(by_module.grants) == 17
    assert by_script.grants == by_module.grants
    assert sorted(by_script.resources) == sorted(by_module.resources)
    for name, settings in by_module.resources.items():
        assert by_script.resources[name] == settings, name


def test_the_script_fills_in_the_cloud_config_as_the_vm_check_does(tmp_path):
    more = {"WORKER_ENVIRONMENT": "A1=x&y\nA=\\ 'quoted' \"$HOME\" ${image}\nUNDERSTUDY_MODEL=of three\n"}
    assert gcloud_sh("--dry-run", "--files", tmp_path, **AS_IT_COMES, **more).returncode == 0

    environment = {
        "UNDERSTUDY_BUCKET": "gs://acme-survey-files",
        "UNDERSTUDY_QUEUE": "pubsub://acme-surveys/flights",
        "UNDERSTUDY_PREFIX": "incoming/",
        "MLFLOW_TRACKING_URI": "http://mlflow.internal:5000",
        "UNDERSTUDY_MODEL": "of three",
        "A": "\\ 'quoted' \"$HOME\" ${image}",
        "A1": "x&y",
    }
    image = "europe-west4-docker.pkg.dev/acme-surveys/understudy/worker:1.0"
    wanted = rendered(image=image, image_from="registry", memory="6g", environment=environment)
    assert (tmp_path / "worker.yaml").read_text() == wanted


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"BUCKET": ""}, "BUCKET"),
        ({"BUCKET": "acme-survey-files"}, "BUCKET"),
        ({"QUEUE": "pubsub://others/flights"}, "QUEUE"),
        ({"PREFIX": "", "KEEP_DAYS": "30"}, "KEEP_DAYS"),
        *(
            ({"PREFIX": prefix}, "PREFIX")
            for prefix in ("incoming", "incoming//", "/incoming/", "output/", "labels/", "../a/")
        ),
    ],
)
def test_a_mistake_ends_it_before_anything_is_made(settings, named):
    done = gcloud_sh("--dry-run", **{**AS_IT_COMES, **settings})

    assert done.returncode != 0
    assert named in done.stderr
    assert done.stdout == ""


GCLOUD = """#!{python} -SE
import json, sys
log, words = {log!r}, sys.argv[1:]
made = [json.loads(line) for line in open(log)] if __import__("os").path.exists(log) else []
creating = lambda kind, name: any(w[: len(kind)] == kind and w[len(kind)] == "create" and name in w for w in made)
names = [word for word in words if not word.startswith("--")]
if names[:2] == ["projects", "describe"]:
    print("123456789012")
elif names[-2] == "describe":
    sys.exit(not creating(names[:-2], names[-1].partition("@")[0]))
elif "list" in names and "notifications" in names:
    found = [w for w in made if w[:4] == ["storage", "buckets", "notifications", "create"]]
    print(json.dumps([dict(topic="//pubsub.googleapis.com/projects/acme-surveys/topics/flights") for _ in found]))
elif "list" in names and "policies" in names:
    title = next(word for word in words if word.startswith("--filter=")).split('"')[1]
    print("\\n".join(f"policy/{{n}}" for n, w in enumerate(made) if "policies" in w and title in w[3]))
else:
    with open(log, "a") as file:
        print(json.dumps(words), file=file)
"""


@pytest.mark.slow  # a hundred processes
def test_a_second_run_makes_nothing_again(tmp_path):
    log, stand_in = tmp_path / "log", tmp_path / "bin" / "gcloud"
    stand_in.parent.mkdir()
    stand_in.write_text(GCLOUD.format(python=sys.executable, log=str(log)))
    stand_in.chmod(0o755)

    first = gcloud_sh(path=str(stand_in.parent), **AS_IT_COMES)
    assert first.returncode == 0, first.stderr
    made = [json.loads(line) for line in log.read_text().splitlines()]
    second = gcloud_sh(path=str(stand_in.parent), **AS_IT_COMES)
    assert second.returncode == 0, second.stderr
    again = [json.loads(line) for line in log.read_text().splitlines()][len(made) :]

    printed = gcloud_sh("--dry-run", **AS_IT_COMES).stdout
    without_files = [[word for word in words if "-file=" not in word] for words in made]
    assert [["gcloud", *words] for words in without_files] == [
        [word for word in words if "-file=" not in word] for words in gcloud_facts.commands(printed)
    ]
    assert [words for words in again if "create" in words and "identity" not in words] == []
    assert {" ".join(words[:3]) for words in again} >= {"monitoring policies update", "logging metrics update"}
