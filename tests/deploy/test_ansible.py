"""The role applied twice to two hosts, each a scratch root on this machine."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cfn import DEPLOY

ANSIBLE = DEPLOY / "ansible"
BIN = Path(sys.executable).parent

# Stands in for the binary where DBBACKUP_BIN is not set: knows the two calls that the role makes.
STAND_IN = f"""#!{sys.executable}
import sys, tomllib
if sys.argv[1:] == ["--version"]:
    print("dbbackup 0.0.0 (stand-in)")
elif sys.argv[1] == "--config" and sys.argv[3:] == ["config", "check"]:
    bucket = tomllib.load(open(sys.argv[2], "rb"))["s3"]["bucket"]
    sys.exit(2 if bucket == "No_Bucket" else 0)
else:
    sys.exit(2)
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Two hosts, and a function that applies the role to them; the tests below go on from each other."""
    tmp_path = tmp_path_factory.mktemp("fleet")
    files = tmp_path / "files"
    (files / "certificates").mkdir(parents=True)
    binary = files / "dbbackup"
    if "DBBACKUP_BIN" in os.environ:
        shutil.copy(os.environ["DBBACKUP_BIN"], binary)
    else:
        binary.write_text(STAND_IN)
    binary.chmod(0o755)
    (files / "aws_signing_helper").write_text("#!/bin/sh\n")
    units = DEPLOY / "systemd"
    if not (units / "dbbackup.service").exists():
        units = files / "systemd"
        units.mkdir()
        (units / "dbbackup.service").write_text("[Service]\nType=oneshot\nExecStart=/usr/local/bin/dbbackup all\n")
        (units / "dbbackup.timer").write_text("[Timer]\nOnCalendar=01:00\n")
    hosts = {}
    for host in ("db1", "db2"):
        (files / "certificates" / f"{host}.pem").write_text(f"certificate of {host}\n")
        (files / "certificates" / f"{host}.key").write_text(f"the secret key of {host}\n")
        for engine in ("mysql", "oracle"):
            (tmp_path / "sources" / engine).mkdir(parents=True, exist_ok=True)
        hosts[host] = {"dbbackup_root": str(tmp_path / host), "ansible_connection": "local",
                       "ansible_python_interpreter": sys.executable}
        (tmp_path / host).mkdir()
    variables = {
        "dbbackup_bucket": "example-backup", "dbbackup_region": "eu-central-1",
        "dbbackup_endpoint_url": "https://bucket.vpce-0a1b.s3.eu-central-1.vpce.amazonaws.com",
        "dbbackup_expected_bucket_owner": "111122223333",
        "dbbackup_sources": {"mysql": {"source": str(tmp_path / "sources/mysql"), "exclude": ["a \"quoted\" name"]},
                             "oracle": {"source": str(tmp_path / "sources/oracle"), "include_level1": True}},
        "dbbackup_binary": str(binary), "dbbackup_systemd_dir": str(units),
        "dbbackup_signing_helper": str(files / "aws_signing_helper"),
        "dbbackup_certificate": str(files / "certificates/{{ inventory_hostname }}.pem"),
        "dbbackup_private_key": str(files / "certificates/{{ inventory_hostname }}.key"),
        "dbbackup_trust_anchor_arn": "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/1",
        "dbbackup_profile_arn": "arn:aws:rolesanywhere:eu-central-1:111122223333:profile/1",
        "dbbackup_role_arn": "arn:aws:iam::111122223333:role/dbbackup-uploader",
    }
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"databases": {"hosts": hosts, "vars": variables}}))

    def play(check=True, **extra):
        run = subprocess.run(
            [BIN / "ansible-playbook", "-i", inventory, ANSIBLE / "playbook.yml", "--diff",
             "-e", "ansible_become=false", "-e", json.dumps(extra)],
            env=os.environ | {"ANSIBLE_HOME": str(tmp_path / "ansible"), "ANSIBLE_NOCOLOR": "1",
                              "ANSIBLE_PIPELINING": "1", "ANSIBLE_RETRY_FILES_ENABLED": "0",
                              "ANSIBLE_LOCALHOST_WARNING": "false", "LC_ALL": "C.UTF-8",
                              "PATH": f"{BIN}:{os.environ['PATH']}"},
            cwd=ANSIBLE, capture_output=True, text=True, timeout=300, check=False)
        assert not check or run.returncode == 0, run.stdout + run.stderr
        counts = {h: (int(c), int(f)) for h, c, f in
                  re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+) .*failed=(\d+)", run.stdout, re.M)}
        return run, counts

    return tmp_path, play


def test_ansible_lint_has_nothing_to_say(tmp_path):
    run = subprocess.run([BIN / "ansible-lint", "--offline", "--profile", "production", "--strict"], cwd=ANSIBLE,
                         env=os.environ | {"ANSIBLE_HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}",
                                           "LC_ALL": "C.UTF-8"},
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("wrong", [{"dbbackup_bucket": ""}, {"dbbackup_sources": {"postgres": {"source": "/x"}}},
                                   {"dbbackup_credentials": "password"}, {"dbbackup_role_arn": ""},
                                   {"dbbackup_credentials": "access_keys", "dbbackup_access_key_id": "AKIAEXAMPLE"}])
def test_an_inventory_that_cannot_work_changes_nothing(fleet, wrong):
    root, play = fleet
    run, counts = play(check=False, **wrong)
    assert run.returncode != 0 and "dbbackup needs" in run.stdout
    assert counts["db1"] == (0, 1)
    assert not list((root / "db1").iterdir())


def test_a_second_run_changes_nothing(fleet):
    root, play = fleet
    first, counts = play()
    assert set(counts) == {"db1", "db2"} and all(changed > 5 for changed, _ in counts.values())
    second, counts = play()
    assert counts == {"db1": (0, 0), "db2": (0, 0)}, second.stdout
    for run in (first, second):
        assert "the secret key" not in run.stdout

    for host in ("db1", "db2"):
        etc = root / host / "etc/dbbackup"
        config = tomllib.loads((etc / "config.toml").read_text())
        assert config["s3"]["prefix"] == "backup/{hostname}"
        assert config["mysql"]["exclude"] == ['a "quoted" name']
        assert config["oracle"]["include_level1"] is True
        assert (etc / "certificate.pem").read_text() == f"certificate of {host}\n"
        for name in ("config.toml", "aws-config", "certificate.key"):
            assert stat.S_IMODE((etc / name).stat().st_mode) == 0o640, name
        for folder in ("etc/dbbackup", "var/lib/dbbackup", "var/log/dbbackup"):
            assert stat.S_IMODE((root / host / folder).stat().st_mode) == 0o750, folder
        # Nobody but root changes what root or the service runs, or what tells it where to send.
        for path in (root / host).rglob("*"):
            assert not path.stat().st_mode & 0o022, path
        assert "--role-arn arn:aws:iam::111122223333:role/dbbackup-uploader" in (etc / "aws-config").read_text()
        assert os.access(root / host / "usr/local/bin/dbbackup", os.X_OK)
        unit = (root / host / "etc/systemd/system/dbbackup.service.d/fleet.conf").read_text()
        assert "AWS_CONFIG_FILE=/etc/dbbackup/aws-config" in unit and "TimeoutStartSec=23h" in unit
        assert (root / host / "etc/systemd/system/dbbackup-failed@.service").exists()
        assert [(it["engine"], it["app"], it["schedule"]) for it in config["expect"]] == [
            ("mysql", "*", "daily"), ("oracle", "*", "daily")]


def test_a_configuration_that_the_binary_refuses_does_not_replace_the_good_one(fleet):
    root, play = fleet
    good = (root / "db1/etc/dbbackup/config.toml").read_text()
    run, counts = play(check=False, dbbackup_bucket="No_Bucket")
    assert run.returncode != 0 and counts["db1"][1] == 1
    assert (root / "db1/etc/dbbackup/config.toml").read_text() == good


def test_a_weekly_timer_leaves_a_run_its_days_and_expects_what_it_is_told(fleet):
    root, play = fleet
    play(dbbackup_on_calendar="Tue *-*-* 01:00:00", dbbackup_expect="")
    assert "TimeoutStartSec" not in (root / "db1/etc/systemd/system/dbbackup.service.d/fleet.conf").read_text()
    assert "expect" not in tomllib.loads((root / "db1/etc/dbbackup/config.toml").read_text())


def test_changing_to_cron_and_access_keys_is_stable_too_and_shows_no_secret(fleet):
    root, play = fleet
    keys = {"dbbackup_schedule": "cron", "dbbackup_credentials": "access_keys",
            "dbbackup_access_key_id": "AKIAEXAMPLE", "dbbackup_secret_access_key": "do-not-show-this"}
    first, _ = play(**keys)
    second, counts = play(**keys)
    assert counts == {"db1": (0, 0), "db2": (0, 0)}, second.stdout
    assert "do-not-show-this" not in first.stdout + first.stderr
    cron = (root / "db1/etc/cron.d/dbbackup").read_text()
    # A run that is killed says nothing any more: the shell does.
    assert cron.endswith('0 1 * * * dbbackup dbbackup all -q || echo "dbbackup ended with exit code $?"\n')
    etc = root / "db1/etc/dbbackup"
    assert "do-not-show-this" in (etc / "aws-config").read_text()
    assert stat.S_IMODE((etc / "aws-config").stat().st_mode) == 0o640
    # The key of the certificate, which nothing uses any more, is gone.
    assert sorted(p.name for p in etc.iterdir()) == ["aws-config", "config.toml"]
    play(**keys | {"dbbackup_credentials": "none"})
    assert [p.name for p in etc.iterdir()] == ["config.toml"]
