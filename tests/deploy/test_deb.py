"""The Debian package: built, looked through, installed, used, removed and purged.

It is installed into a copy of this system that keeps every change in memory (an overlay in a mount
namespace of its own), so that the machine stays as it is.
"""

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cfn import DEPLOY

USER = ["setpriv", "--reuid=dbbackup", "--regid=dbbackup", "--init-groups"]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# What dpkg, its triggers and systemd-sysusers keep of their own; the user stays, as Debian's policy asks.
THEIRS = ("var/lib/dpkg/", "var/log/dpkg.log", "var/cache/man/", "var/cache/debconf/", "etc/passwd", "etc/shadow",
          "etc/group", "etc/gshadow", "etc/.pwd.lock", "var/cache/ldconfig/", "tmp/", "run/", "dev/", "root/.cache/")

pytestmark = [
    pytest.mark.skipif("DBBACKUP_BIN" not in os.environ, reason="DBBACKUP_BIN is not set: no binary to pack"),
    pytest.mark.skipif(shutil.which("cargo-deb") is None, reason="cargo-deb is not installed"),
    pytest.mark.skipif(shutil.which("dpkg-shlibdeps") is None, reason="needs Debian with dpkg-dev"),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="installing needs root")


def build(out, *before):
    run = subprocess.run([*before, DEPLOY / "debian/build", "--out", out], capture_output=True, text=True,
                         check=False, timeout=500)
    assert run.returncode == 0, run.stderr
    package, = out.glob("*.deb")
    return package


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Built under an ordinary user's number, with a umask that would show in the package."""
    out = tmp_path_factory.mktemp("deb")
    before = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    return build(out, *before, "sh", "-c", 'umask 077; exec "$@"', "sh")


class System:
    """A copy of this machine's files; `upper` holds what became different."""

    def __init__(self, directory):
        self.top = Path(directory)
        self.keeper = subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec",
             f"mount -t tmpfs none {self.top}; cd {self.top}; mkdir upper work root;"
             f"mount -t overlay overlay -o lowerdir=/,upperdir={self.top}/upper,workdir={self.top}/work root;"
             "mount -t proc proc root/proc; mount --rbind /dev root/dev; mount -t tmpfs none root/run;"
             "echo ready; exec sleep 100000"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.keeper.stdout.readline()
        if said != "ready\n":
            self.keeper.wait(10)
            pytest.skip(f"no overlay of this system: {said.strip()}")

    def outside(self, *command, **options):
        return subprocess.run(["nsenter", "-t", str(self.keeper.pid), "-m", *map(str, command)],
                              capture_output=True, text=True, timeout=240, check=False, **options)

    def run(self, *command, code=0):
        run = self.outside("chroot", self.top / "root", *command,
                           env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
                                "DEBIAN_FRONTEND": "noninteractive", "MANPAGER": "cat"})
        assert run.returncode == code, f"{command}: {run.returncode}\n{run.stdout}{run.stderr}"
        return run.stdout + run.stderr

    def install(self, package):
        copied = self.outside("cp", package, self.top / "root/tmp/dbbackup.deb")
        assert copied.returncode == 0, copied.stderr
        # Images of containers leave manuals out.
        return self.run("dpkg", "--path-include=/usr/share/man/*", "--path-include=/usr/share/doc/*", "--install",
                        "/tmp/dbbackup.deb")

    def there(self, path):
        return self.outside("test", "-e", f"{self.top}/root/{path}").returncode == 0

    def changed(self):
        """Paths that are there now and are not as they were, files and directories."""
        found = self.outside("find", self.top / "upper", "-mindepth", "1", "-not", "-type", "c", "-printf", "%y %P\n")
        return {line[2:] for line in found.stdout.splitlines() if line.startswith("f ") or "dbbackup" in line}

    def stop(self):
        self.keeper.kill()
        self.keeper.wait(20)


@pytest.fixture(scope="module")
def system(package, tmp_path_factory):
    made = System(tmp_path_factory.mktemp("system"))
    yield made
    made.stop()


def test_root_builds_the_same_bytes_as_another_user(package, tmp_path):
    assert build(tmp_path).read_bytes() == package.read_bytes()


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_finds_nothing(package):
    run = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    # An override that no longer fits its file is said as a hint, and hides what comes in its place.
    assert "override" not in run.stdout, run.stdout


def test_licenses_of_the_program_and_of_all_that_is_linked_into_it_come_along(package, tmp_path):
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path], check=True)
    docs = tmp_path / "usr/share/doc/dbbackup"
    own = (docs / "copyright").read_text()
    assert own.startswith("Format: https://www.debian.org/") and "AS IS" in own and "common-licenses/Apache-2.0" in own
    others = gzip.decompress((docs / "third-party.gz").read_bytes()).decode()
    for crate in ("aws-sdk-s3", "rustls", "aws-lc-sys", "tokio", "clap"):
        assert re.search(rf"^{crate} \d+\.\S+: .*(MIT|Apache|ISC)", others, re.M), crate
    assert "Permission is hereby granted" in others and "Redistribution and use in source and binary forms" in others


def test_everything_belongs_to_root_and_only_the_configuration_is_private(package):
    listed = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    modes = {}
    for line in listed.splitlines():
        mode, owner, *_, path = line.split()
        assert owner in ("0/0", "root/root"), line
        modes[path] = mode
    files = {path: mode for path, mode in modes.items() if mode[0] == "-"}
    assert files.pop("./usr/bin/dbbackup") == "-rwxr-xr-x"
    assert files.pop("./etc/dbbackup/config.toml") == "-rw-r-----"
    assert set(files.values()) == {"-rw-r--r--"}
    assert {mode for mode in modes.values() if mode[0] == "d"} == {"drwxr-xr-x"}


@needs_root
def test_installed_it_explains_itself_and_takes_its_configuration(system, package):
    system.install(package)
    assert system.run("dbbackup", "--version").startswith("dbbackup 0.")
    assert "another run holds the lock" in system.run("man", "dbbackup")
    for shell, path in {"bash": "bash-completion/completions/dbbackup", "zsh": "zsh/vendor-completions/_dbbackup",
                        "fish": "fish/vendor_completions.d/dbbackup.fish"}.items():
        assert system.run("cat", f"/usr/share/{path}") == system.run("dbbackup", "completions", shell)
    # The user of the unit reads the configuration; others do not.
    assert 'bucket = "' in system.run(*USER, "dbbackup", "config", "check")
    assert "ermission denied" in system.run(*NOBODY, "dbbackup", "config", "check", code=2)
    for directory in ("log", "lib"):
        assert system.run("stat", "-c", "%U:%G %a", f"/var/{directory}/dbbackup") == "dbbackup:dbbackup 750\n"


@needs_root
def test_nothing_runs_before_it_is_told_to(system):
    """The timer is not enabled, the cron file has no line that is active, the unit is sound."""
    assert not any("timers.target.wants" in path for path in system.changed())
    lines = system.run("cat", "/etc/cron.d/dbbackup").splitlines()
    assert all(not line or line.startswith("#") or line.split("=")[0] in ("SHELL", "PATH", "MAILTO") for line in lines)
    assert "#0 1 * * 2 root /usr/bin/dbbackup all" in lines
    unit = "/usr/lib/systemd/system/dbbackup"
    assert system.run("systemd-analyze", "verify", "--man=no", f"{unit}.service", f"{unit}.timer") == ""
    assert "ExecStart=/usr/bin/dbbackup all\n" in system.run("cat", f"{unit}.service")


@needs_root
def test_an_upgrade_keeps_the_administrators_configuration(system, package):
    system.run("sh", "-c", "echo '# ours' >> /etc/dbbackup/config.toml")
    system.install(package)
    assert system.run("tail", "-n", "1", "/etc/dbbackup/config.toml") == "# ours\n"
    assert system.run("stat", "-c", "%U:%G %a", "/etc/dbbackup/config.toml") == "root:dbbackup 640\n"


@needs_root
def test_removed_it_leaves_configuration_logs_and_state_and_purged_it_leaves_nothing(system):
    system.run(*USER, "sh", "-c", "echo x > /var/log/dbbackup/upload_all_2025-08-18_010002.log; "
                                  "mkdir /var/lib/dbbackup/manifests; echo x > /var/lib/dbbackup/manifests/x")
    system.run("sh", "-c", "umask 077; echo '[default]' > /etc/dbbackup/aws-credentials")
    system.run("dpkg", "--remove", "dbbackup")
    assert not system.there("usr/bin/dbbackup")
    for kept in ("etc/dbbackup/config.toml", "etc/cron.d/dbbackup", "var/lib/dbbackup/manifests/x",
                 "var/log/dbbackup/upload_all_2025-08-18_010002.log"):
        assert system.there(kept), kept
    system.run("dpkg", "--purge", "dbbackup")
    left = {path for path in system.changed() if not path.startswith(THEIRS)}
    # The administrator's own file, which came with no package.
    assert left == {"etc/dbbackup", "etc/dbbackup/aws-credentials"}
    assert "dbbackup" not in system.run("dpkg-query", "--list")
