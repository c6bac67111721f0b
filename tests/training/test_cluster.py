"""The examples for Slurm and Kubernetes, with stand-ins for `ssah`, `srun` and `scontrol`."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

CLUSTER = Path(__file__).parents[2] / "training" / "cluster"


@pytest.fixture
def stand_in(tmp_path):
    """Makes a command of a shell script, and the environment that finds it first."""
    (tmp_path / "bin").mkdir()

    def make(name, script):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
        return os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    return make


def told(output):
    """What the stand-in for ssah was given: pairs of TF_CONFIG and words."""
    lines = (json.loads(line) for line in output.splitlines() if line.startswith("["))
    return sorted(lines, key=lambda pair: pair[0]["task"]["index"])


#: Prints TF_CONFIG and its words as one line of JSON.
TELL = """python3 -c 'import json, os, sys
print(json.dumps([json.loads(os.environ["TF_CONFIG"]), sys.argv[1:]]))' "$@" """


@pytest.mark.parametrize("resumed", [False, True])
def test_slurm(tmp_path, stand_in, resumed):
    run = tmp_path / "a run"
    if resumed:
        run.mkdir()
        (run / "recipe.yaml").touch()
    stand_in("ssah", TELL)
    # The stand-in of srun runs the command as task 0 and as task 1.
    stand_in("srun", 'shift\nfor i in 0 1; do SLURM_PROCID=$i "$@" || exit; done')
    environment = stand_in("scontrol", '[ "$*" = "show hostnames n[1-2]" ] && printf "n1\\nn2\\n"')
    done = subprocess.run(
        [CLUSTER / "slurm.sh", run, "fashion", "--set", "train.batch=128"],
        env=environment | {"SLURM_JOB_ID": "41234", "SLURM_JOB_NODELIST": "n[1-2]"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cluster = {"worker": ["n1:21234", "n2:21234"]}
    fresh = ["train", "fashion", "--set", "train.batch=128", "--output", str(run)]
    words = ["train", "--resume", str(run)] if resumed else fresh
    assert told(done.stdout) == [
        [{"cluster": cluster, "task": {"type": "worker", "index": i}}, words] for i in range(2)
    ]


@pytest.mark.parametrize(("restarts", "again"), [("0", True), ("5", False)])
def test_slurm_begins_again_after_a_failure(tmp_path, stand_in, restarts, again):
    stand_in("srun", "exit 1")
    environment = stand_in("scontrol", 'if [ "$1" = requeue ]; then echo "again $2"; fi')
    done = subprocess.run(
        [CLUSTER / "slurm.sh", tmp_path / "run"],
        env=environment
        | {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n1", "SLURM_RESTART_COUNT": restarts},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert ("again 7" in done.stdout) == again


@pytest.mark.parametrize("resumed", [False, True])
def test_kubernetes(tmp_path, stand_in, resumed):
    run = tmp_path / "run"
    if resumed:
        run.mkdir()
        (run / "recipe.yaml").touch()
    service, job = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    spec = job["spec"]
    pod = spec["template"]["spec"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    (container,) = pod["containers"]
    values = {entry["name"]: entry["value"] for entry in container["env"]}
    assert int(values["WORKERS"]) == spec["completions"] == spec["parallelism"]
    environment = stand_in("ssah", TELL) | values | {"RUN": str(run), "JOB_COMPLETION_INDEX": "1"}
    done = subprocess.run(container["command"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    name = f"{job['metadata']['name']}-%d.{pod['subdomain']}:2222"
    config = {
        "cluster": {"worker": [name % 0, name % 1]},
        "task": {"type": "worker", "index": 1},
    }
    fresh = ["train", "fashion", "--output", str(run)]
    assert told(done.stdout) == [[config, ["train", "--resume", str(run)] if resumed else fresh]]
