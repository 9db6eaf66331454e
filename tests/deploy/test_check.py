"""`dbbackup check` where only root can make what it should find: a resolver, a network, mounts and users of its own.

    db ──── s3 ── 10.88.0.4 and 203.0.113.4, the same server by a private and by a public address

Both are network namespaces. The resolver is the system's own, with another /etc/hosts mounted over this machine's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vpn import Sites, inside, sh, wait

HERE = Path(__file__).parent
PRIVATE, PUBLIC, NOBODY_THERE = "10.88.0.4", "203.0.113.4", "10.88.0.5"
PORT = 9000
KEYS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret", "AWS_EC2_METADATA_DISABLED": "true"}
DAY = "2025-08-18"


def namespaces():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "--net", "true"], check=False).returncode == 0


pytestmark = [
    pytest.mark.skipif("DBBACKUP_BIN" not in os.environ, reason="DBBACKUP_BIN is not set: no binary to check with"),
    pytest.mark.skipif(not namespaces(), reason="needs root, and namespaces of mounts and of the network"),
]


class Road:
    """A host `db` with a source, and a server behind one link."""

    def __init__(self, directory):
        self.directory = directory
        tag = f"dbr{os.getpid()}"
        self.db, self.s3 = f"{tag}-db", f"{tag}-s3"
        self.children = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        for name in (self.db, self.s3):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        Sites._link(self.db, "vpn0", "10.88.0.1/24", self.s3, "lan", f"{PRIVATE}/24")
        sh("ip", "-n", self.db, "route", "add", "default", "via", PRIVATE)
        sh("ip", "-n", self.s3, "address", "add", f"{PUBLIC}/32", "dev", "lo")
        with (self.directory / "served.log").open("w") as log:
            served = subprocess.Popen(
                inside(self.s3, os.environ["DBBACKUP_BIN"], "demo", "--serve", self.directory / "served"),
                stdout=subprocess.PIPE, stderr=log, text=True)
        self.children.append(served)
        told = re.search(r"http://127\.0\.0\.1:(\d+) with bucket ([a-z-]+)", served.stdout.readline())
        inner, self.bucket = told.groups()
        self.log = self.directory / "connections"
        self.children.append(subprocess.Popen(
            inside(self.s3, sys.executable, HERE / "forward.py", "0.0.0.0", PORT, inner, self.log)))
        wait(lambda: self.answers(PRIVATE) and self.answers(PUBLIC), 20, "both addresses answer")
        source = self.directory / f"mysql/shop/shop_{DAY.replace('-', '')}.sql"
        source.parent.mkdir(parents=True)
        source.write_text("-- MySQL dump 10.13  Distrib 8.0.39\nSELECT 1;\n-- Dump completed on 2025-08-18  1:00:02\n")
        os.utime(source, (1_755_478_802, 1_755_478_802))
        self.resolves()
        self.configure()

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
            child.wait(20)
        for name in (self.db, self.s3):
            sh("ip", "netns", "del", name, check=False)

    def answers(self, address):
        code = f"import socket; socket.create_connection(('{address}', {PORT}), 2)"
        return subprocess.run(inside(self.db, sys.executable, "-c", code), capture_output=True,
                              check=False).returncode == 0

    def resolves(self, *addresses):
        """What the resolver says of s3.example.com from now on."""
        text = "127.0.0.1 localhost\n" + "".join(f"{address} s3.example.com\n" for address in addresses)
        (self.directory / "hosts").write_text(text)

    def configure(self, network="", **directories):
        d = self.directory
        dirs = {"state": d / "state", "log": d / "log", "scratch": d} | directories
        config = d / "config.toml"
        config.write_text(f"""
[mysql]
source = "{d}/mysql"
[s3]
bucket = "{self.bucket}"
prefix = "backup"
region = "us-east-1"
endpoint_url = "http://s3.example.com:{PORT}"
path_style = true
connect_timeout = "2s"
[network]
{network}
[log]
dir = "{dirs['log']}"
[state]
dir = "{dirs['state']}"
[drill]
scratch = "{dirs['scratch']}"
[backup]
pauses = ["0s"]
outage_patience = "0s"
""")
        config.chmod(0o640)

    def run(self, *arguments, before="", under=()):
        """The program in `db`; `before` is done first in a namespace of mounts that ends with it."""
        script = f"set -e; mount --bind {self.directory}/hosts /etc/hosts; {before}\nexec \"$@\""
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *under, os.environ["DBBACKUP_BIN"],
                   "--config", self.directory / "config.toml", *arguments]
        return subprocess.run(inside(self.db, *command), env=os.environ | KEYS, capture_output=True, text=True,
                              timeout=120, check=False)

    def check(self, **options):
        """The check's lines by name."""
        ended = self.run("check", "--json", **options)
        assert ended.returncode in (0, 1), ended.stderr
        document = json.loads(ended.stdout)
        assert document["exit_code"] == ended.returncode
        return {line["what"]: line for line in document["lines"]}

    def came_by(self, address):
        """Connections to that address so far, and bytes that came by them."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        sizes = [int(size) for where, size in lines if where == address]
        return sizes.count(0), sum(sizes)


@pytest.fixture
def road(tmp_path):
    with Road(tmp_path) as running:
        yield running


# --- the network ------------------------------------------------------------------------------------


@pytest.mark.parametrize("addresses", [(PRIVATE, PUBLIC), (PUBLIC, PRIVATE)])
def test_a_name_with_a_public_address_beside_the_private_one_is_refused(road, addresses):
    road.resolves(*addresses)
    road.configure("require_private = true")
    lines = road.check()
    assert lines["name"]["outcome"] == lines["answer"]["outcome"] == "fail", lines
    assert f"of these, {PUBLIC} is not private" in lines["name"]["seen"]
    assert "backups are refused on this way" in lines["name"]["advice"]
    assert lines["answer"]["advice"] == "see the line `name`"
    assert lines["the rest"]["outcome"] == "unknown"

    before = road.came_by(PUBLIC), road.came_by(PRIVATE)
    for verb in (["all", "--date", DAY], ["restore", "--latest", "mysql/shop"]):
        ended = road.run(*verb)
        assert ended.returncode == 5, ended.stderr
        assert f"s3.example.com has the address {PUBLIC}, which is not private" in ended.stderr
        assert "require_private = true forbids it" in ended.stderr
    # Not even a connection was opened, which would have been answered; and no byte ever went there.
    assert (road.came_by(PUBLIC), road.came_by(PRIVATE)) == before
    assert road.came_by(PUBLIC)[1] == 0


def test_without_the_requirement_it_is_told_and_the_backup_goes(road):
    road.resolves(PRIVATE, PUBLIC)
    lines = road.check()
    assert (lines["name"]["outcome"], lines["answer"]["outcome"]) == ("warn", "ok"), lines
    assert "backups take the internet" in lines["name"]["advice"]
    assert road.run("all", "--date", DAY).returncode == 0


def test_private_addresses_are_used_and_one_that_is_down_is_told(road):
    road.resolves(PRIVATE)
    road.configure("require_private = true")
    lines = road.check()
    for what in ("name", "connection", "route", "answer"):
        assert lines[what]["outcome"] == "ok", lines[what]
    assert "by interface vpn0, path MTU 1500" in lines["route"]["seen"]
    # Another host's plain http is no secret from the network between.
    assert lines["TLS"]["outcome"] == "warn" and "https in endpoint_url" in lines["TLS"]["advice"]
    ended = road.run("all", "--date", DAY)
    assert ended.returncode == 0, ended.stderr
    assert road.came_by(PUBLIC)[1] == 0
    # Whoever tries this by hand has the server's terminal before them.
    assert (road.directory / "served.log").read_text() == ""

    sh("ip", "-n", road.db, "route", "add", "unreachable", f"{NOBODY_THERE}/32")
    road.resolves(PRIVATE, NOBODY_THERE)
    line = road.check()["connection"]
    assert line["outcome"] == "warn" and f"{NOBODY_THERE}:{PORT} does not answer" in line["seen"], line


def test_a_path_for_small_packets_only_is_told(road):
    road.resolves(PRIVATE)
    sh("ip", "-n", road.db, "link", "set", "vpn0", "mtu", 1000)
    line = road.check()["route"]
    assert (line["outcome"], line["seen"]) == ("warn", "by interface vpn0, path MTU 1000"), line
    assert "MSS" in line["advice"]


def test_a_name_that_nobody_knows_fails(road):
    line = road.check()["name"]
    assert line["outcome"] == "fail" and "s3.example.com does not resolve" in line["seen"], line
    assert "resolv.conf" in line["advice"]


# --- this machine -----------------------------------------------------------------------------------


def test_little_space_is_told_and_too_little_fails(road):
    road.resolves(PRIVATE)
    small = road.directory / "small"
    small.mkdir()
    road.configure(log=small / "log", state=small / "state", scratch=small)
    places = ("log directory", "state directory", "restore directory")
    for size, outcome in (("2G", "ok"), ("500M", "warn"), ("32M", "fail")):
        lines = road.check(before=f"mount -t tmpfs -o size={size} none {small}")
        assert [lines[what]["outcome"] for what in places] == [outcome] * 3, (size, lines)
    # More than enough for logs, and too little for the largest backup.
    with (road.directory / "mysql/shop/large_20250818.sql").open("wb") as file:
        file.truncate(3 << 30)
    lines = road.check(before=f"mount -t tmpfs -o size=2G none {small}")
    assert [lines[what]["outcome"] for what in places] == ["ok", "ok", "warn"], lines
    assert "the largest backup has 3.2 GB" in lines["restore directory"]["seen"]


def test_a_place_that_cannot_be_written_fails(road):
    road.resolves(PRIVATE)
    there = road.directory / "there"
    there.mkdir()
    road.configure(log=there, scratch=there)
    lines = road.check(before=f"mount -t tmpfs -o ro none {there}")
    for what in ("log directory", "restore directory"):
        assert lines[what]["outcome"] == "fail" and "Read-only" in lines[what]["seen"], lines[what]


def test_locks_that_cannot_be_seen_are_unknown(road):
    road.resolves(PRIVATE)
    (road.directory / "state").mkdir()
    (road.directory / "state/lock").touch()
    line = road.check(before="mount -t tmpfs none /proc")["lock"]
    assert line["outcome"] == "unknown" and "/proc" in line["advice"], line


def test_whose_file_and_which_user(road):
    road.resolves(PRIVATE)
    assert road.check()["user"]["outcome"] == "ok"
    os.chown(road.directory / "config.toml", 4711, 0)
    lines = road.check()
    assert lines["configuration file"]["outcome"] == "warn", lines["configuration file"]
    assert "owned by user 4711" in lines["configuration file"]["seen"]
    assert shutil.which("setpriv"), "util-linux has it"
    line = road.check(under=["setpriv", "--ruid", "4711"])["user"]
    assert line["outcome"] == "warn" and line["seen"].endswith("(uid 0), started by uid 4711"), line
