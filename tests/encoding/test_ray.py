"""Encoding on real Ray clusters: rows as by threads, whatever is killed; refusals in one line.

Ray is installed in an environment of its own, as on a machine of a cluster: no TensorFlow there.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image

from ssah_tf.data import load_fashion

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
IMAGES, SHARD = 4000, 40


@pytest.fixture(scope="module")
def environment(environment_of):
    """Folder of the programs of an environment with the extra `scale`, and those of formats."""
    options = "--constraint", ROOT / "constraints.txt"
    return environment_of(f"{ROOT}[scale,heic,raw]", options=options).parent


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Names of 4,000 photos with 200 contents, and two files that are none."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    for k, pixels in enumerate(load_fashion().pixels[:200]):
        Image.fromarray(pixels).resize((224, 224)).save(folder / "a" / f"{k:04d}.jpg")
    for k in range(200, IMAGES):
        os.link(folder / "a" / f"{k % 200:04d}.jpg", folder / "b" / f"{k:04d}.jpg")
    (folder / "a" / "0100bad.jpg").write_bytes(b"no image")
    (folder / "b" / "3000bad.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def by_threads(environment, exported, photos):
    """What threads make of the photos."""
    output = photos.parent / "threads"
    done = encode(environment, exported, photos, output, "--engine", "threads")
    assert done.returncode == 0, done.stderr
    return read(output)


@pytest.fixture
def cluster(environment):
    """Two nodes: the helper process, its address, the ids of its raylets, and its variables."""
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on loopback
    }
    helper = subprocess.Popen(
        [environment / "python", Path(__file__).with_name("ray_cluster.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
    )
    about = json.loads(helper.stdout.readline())
    yield helper, about["address"], about["raylets"], variables
    helper.stdin.close()
    helper.wait()
    helper.stdout.close()


def begin(environment, exported, photos, output, *options, env=None, before=()):
    """A process of `ssah encode`."""
    words = [environment / "ssah", "encode", exported[1], photos, "--output", output]
    return subprocess.Popen(
        [*before, *words, "--shard", str(SHARD), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
        # As from a terminal: below a job in the background of a script, Ctrl-C would be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def end(process):
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def encode(*words, **options):
    return end(begin(*words, **options))


def wait_for_shards(process, output, count):
    """Wait until so many are there; not all of them, or the test would show nothing."""
    while len(list(output.glob("*.parquet"))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    assert not (output / "_encoded.json").exists()


def read(output):
    """Rows, bad files and numbers of a folder."""
    bad = [json.loads(line) for line in (output / "_bad.jsonl").read_text().splitlines()]
    about = json.loads((output / "_encoded.json").read_bytes())
    assert len(list(output.glob("*.parquet"))) == about["shards"]
    return pyarrow.parquet.read_table(output).to_pydict(), bad, about


def last_line(done, code=1):
    """How a command that did not come to its end says why; Ray itself may have written above."""
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ssah: ")
    return last.removeprefix("ssah: ")


def listeners(parent):
    """Local addresses, hexadecimal, at which a process and those below it are waiting for others.

    Other tests may run on this machine meanwhile, whose servers are none of ours.
    """
    sockets = set()
    for number in (parent, *children([parent])):
        for file in Path(f"/proc/{number}/fd").glob("*"):
            with suppress(OSError):  # it has been closed since
                sockets.add(os.readlink(file))
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {words[1] for words in lines if words[3] == "0A" and f"socket:[{words[9]}]" in sockets}


def children(parents):
    """Processes below some others: id -> command line."""
    found, ids = {}, set(parents)
    for _ in range(3):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
                if parent in ids:
                    found[int(stat.parent.name)] = (stat.parent / "cmdline").read_bytes()
            except OSError:
                continue
        ids |= found.keys()
    return found


def test_on_this_machine(environment, exported, photos, by_threads, tmp_path):
    """Nothing listens beyond loopback; Ctrl-C is one line; then it goes on, and rows are equal."""
    output = tmp_path / "codes"
    process = begin(environment, exported, photos, output, "--engine", "ray")
    opened = set()
    while not list(output.glob("*.parquet")):  # Ray is up before the first shard
        assert process.poll() is None, process.communicate()
        opened |= listeners(process.pid)
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # at once, while there is something left to do
    ours = {address.rpartition(":")[0] for address in opened}
    assert ours <= {"0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"}
    assert ours
    line = last_line(end(process), 130)
    assert line == "interrupted; the same command goes on where it was"
    done = encode(environment, exported, photos, output, "--engine", "ray")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4,000 codes of 12 bits")
    rows, bad, about = read(output)
    assert (rows, bad, about) == by_threads
    assert (about["images"], about["bad"]) == (4000, 2)
    assert len(set(rows["path"])) == 4000
    assert [os.path.basename(line["path"]) for line in bad] == ["0100bad.jpg", "3000bad.png"]


def test_what_has_changed_is_read_again(environment, exported, photos, tmp_path):
    """Workers get the files that differ, and what they need not encode; rows are those of a new
    call by threads."""
    folder, output = tmp_path / "photos", tmp_path / "codes"
    folder.mkdir()
    for k in range(6):
        shutil.copy(photos / "a" / f"{k:04d}.jpg", folder / f"{k}.jpg")
    (folder / "3.jpg").write_bytes(b"no image")
    words = [environment, exported, folder, output, "--engine", "ray"]
    assert encode(*words).stdout.startswith("5 codes of 12 bits")
    shutil.copy(photos / "a" / "0103.jpg", folder / "3.jpg")
    shutil.copy(photos / "a" / "0105.jpg", folder / "5.jpg")
    os.utime(folder / "0.jpg", (1, 1))
    done = encode(*words)
    assert done.returncode == 0, done.stderr
    counts = "0 new, 1 changed, 1 that could not be read before, 4 as they were; 3 read again"
    assert done.stdout.splitlines()[1] == counts
    again = encode(*words, "--check").stdout.splitlines()[1]
    assert again.endswith("6 as they were; 6 read again")
    whole = tmp_path / "whole"
    assert encode(environment, exported, folder, whole, "--engine", "threads").returncode == 0
    rows = [pyarrow.parquet.read_table(place).to_pydict() for place in (output, whole)]
    assert rows[0] == rows[1]


def test_a_machine_is_killed(environment, exported, photos, by_threads, tmp_path, cluster):
    """SIGKILL to one of two in the middle: no row is lost, none comes twice."""
    _, address, raylets, variables = cluster
    output = tmp_path / "codes"
    options = ["--engine", "ray", "--address", address]
    process = begin(environment, exported, photos, output, *options, env=variables)
    wait_for_shards(process, output, 8)
    for number in (raylets[1], *children(raylets[1:])):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    assert not (output / "_encoded.json").exists()
    done = end(process)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("4,000 codes of 12 bits")
    assert read(output) == by_threads


def test_workers_die_again_and_again(environment, exported, photos, by_threads, tmp_path, cluster):
    """A line says at which photos; the command goes on when they live."""
    _, address, raylets, variables = cluster
    output = tmp_path / "codes"
    options = ["--engine", "ray", "--address", address]
    process = begin(environment, exported, photos, output, *options, env=variables)
    wait_for_shards(process, output, 2)
    while process.poll() is None:
        for number, words in children(raylets).items():
            if words.startswith(b"ray::run"):
                with suppress(ProcessLookupError):  # it has ended since
                    os.kill(number, signal.SIGKILL)
        time.sleep(0.05)
    line = last_line(end(process))
    assert "the worker died 4 times" in line
    assert "the same command goes on" in line
    done = encode(environment, exported, photos, output, *options, env=variables)
    assert done.returncode == 0, done.stderr
    assert read(output) == by_threads


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_photos_that_only_the_first_machine_has(
    environment, exported, photos, by_threads, tmp_path, cluster
):
    """The machine and a photo are named, at once or when it comes to them; none is called bad."""
    _, address, _, variables = cluster
    first = tmp_path / "first.jpg"  # what the machines are asked about: the first shard
    os.link(photos / "a" / "0000.jpg", first)
    for name in ("a", "b"):
        folder, output = tmp_path / name, tmp_path / f"codes-{name}"
        folder.mkdir()
        mount = f'mount --bind "{photos}/{name}" "{folder}" && exec "$@"'
        before = ["unshare", "--mount", "sh", "-c", mount, "sh"]
        sources = [first, folder, "--shard", "1"] if name == "b" else [folder]
        options = ["--engine", "ray", "--address", address, *sources[1:]]
        done = encode(
            environment, exported, sources[0], output, *options, env=variables, before=before
        )
        assert f"cannot read {folder}/" in last_line(done)
        assert not (output / "_encoded.json").exists()


def test_refusals(environment, exported, photos, tmp_path, cluster):
    _, address, _, variables = cluster
    options = ["--engine", "ray", "--address"]
    words = [environment, exported, photos, tmp_path / "codes", *options]
    assert "no Ray cluster there" in last_line(encode(*words, "127.0.0.1:1"))
    assert "expected HOST:PORT" in last_line(encode(*words, "auto"))
    assert "has 3 CPUs" in last_line(encode(*words, address, "--threads", "3", env=variables))
    other = tmp_path / "other" / "pillow-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pillow\nVersion: 0.0.1\n")
    done = encode(*words, address, env={**variables, "PYTHONPATH": str(other.parent)})
    assert "this machine ssah-tf 0.1.0, Pillow 0.0.1," in last_line(done)
    assert "install the same versions" in done.stderr


def test_every_format(environment, exported, files, tmp_path):
    """Workers decode what threads decode."""
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = Image.linear_gradient("L").resize((320, 240)).convert("RGB")
    for kind in files.KINDS:
        (photos / f"{kind}.{kind}").write_bytes(files.picture_file(kind, picture))
    found = []
    for engine in ("threads", "ray"):
        done = encode(environment, exported, photos, tmp_path / engine, "--engine", engine)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / engine / "_bad.jsonl").exists()
        found.append(pyarrow.parquet.read_table(tmp_path / engine).to_pydict())
    assert found[0] == found[1]
    assert len(found[0]["path"]) == len(files.KINDS)
