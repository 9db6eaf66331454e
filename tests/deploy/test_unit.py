"""The unit's sandbox against what a run does: no system call of a night's work may be one that it refuses."""

import datetime
import os
import re
import shutil
import subprocess

import pytest

from cfn import DEPLOY

pytestmark = [
    pytest.mark.skipif("DBBACKUP_BIN" not in os.environ, reason="DBBACKUP_BIN is not set: no binary to look at"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed"),
]
# systemd.exec(5): always allowed, whatever the filter says.
ALWAYS = {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn"}


def members(name):
    """The calls of @a-set, sets within it included, as this systemd has them."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    inside = [line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*map(members, inside))


def allowed(unit):
    calls = ALWAYS | members("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M):
        named = set().union(*map(members, line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def test_every_system_call_of_a_night_passes_the_units_filter(tmp_path):
    """Uploads whole and in parts, priority and disk class, the page cache, a second run that skips."""
    day = datetime.date(2025, 8, 18)
    sources = tmp_path / "mysql/shop", tmp_path / "oracle/erp/rman_full_18-08-2025"
    for source in sources:
        source.mkdir(parents=True)
    for name, size in ((f"a_{day:%Y%m%d}.sql", 100), (f"b_{day:%Y%m%d}.sql", 40 << 20)):
        (sources[0] / name).write_bytes(b"-- MySQL dump 10.13  Distrib 8.0.39\n" + b"-- x\n" * (size // 5)
                                        + b"-- Dump completed on 2025-08-18  1:00:02\n")
    for number in range(3):
        (sources[1] / f"piece_{number}_1").write_bytes(bytes([0, 1, 2, 3]) * 5000)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1_755_478_802, 1_755_478_802))
    binary = os.environ["DBBACKUP_BIN"]
    server = subprocess.Popen([binary, "demo", "--serve", tmp_path / "served"], stdout=subprocess.PIPE, text=True)
    try:
        url, bucket = re.search(r"(http://127\.0\.0\.1:\d+) with bucket ([a-z-]+)", server.stdout.readline()).groups()
        (tmp_path / "config.toml").write_text(f"""
[mysql]
source = "{tmp_path}/mysql"
[oracle]
source = "{tmp_path}/oracle"
[s3]
bucket = "{bucket}"
region = "eu-central-1"
endpoint_url = "{url}"
path_style = true
[network]
require_private = true
[log]
dir = "{tmp_path}/log"
[state]
dir = "{tmp_path}/state"
[backup]
nice = 19
io_class = "idle"
""")
        traces = []
        for run in (1, 2):
            traces.append(tmp_path / f"trace{run}")
            ended = subprocess.run(
                ["strace", "-f", "-qq", "-o", traces[-1], binary, "--config", tmp_path / "config.toml", "all", "--date", str(day)],
                env=os.environ | {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret"},
                capture_output=True, text=True, timeout=400, check=False)
            said = ended.stdout + ended.stderr
            assert ended.returncode == 0, said
            assert run == 2 or "3 backups uploaded" in said, said
    finally:
        server.terminate()
        server.wait(20)
    made = {name for trace in traces for name in re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed>)", trace.read_text(), re.M)}
    assert {"openat", "connect", "setpriority", "ioprio_set", "mincore"} <= made
    unit = (DEPLOY / "systemd/dbbackup.service").read_text()
    assert made - allowed(unit) == set()
    # The filter is one: what no run needs stays closed (namespaces by RestrictNamespaces=).
    assert not allowed(unit) & {"mount", "ptrace", "init_module", "reboot", "setuid", "chown", "bpf", "kexec_load"}
