"""The walk from an empty AWS account to the first backup (README.md and those of deploy/): no command in it
may name a file, a parameter, an option or a setting that is not there."""

import configparser
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from datetime import date, timedelta
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

from cfn import ACCOUNT, DEPLOY, Template
from vpn import customer_gateway_xml

ROOT = DEPLOY.parent
TEXTS = [ROOT / "README.md", *sorted(DEPLOY.glob("*/README.md"))]
# What stands for what: outputs of a stack, as the text writes them.
EXAMPLES = {
    "EndpointId": "vpce-0a1b2c3d", "KmsKeyArn": f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1111-2222",
}
# `aws cloudformation deploy` is the client's own: no service model has it.
DEPLOY_OPTIONS = {"stack-name", "template-file", "parameter-overrides", "capabilities"}
GLOBAL_OPTIONS = {"query", "output", "region", "profile"}


def walk():
    text = (ROOT / "README.md").read_text()
    return re.search(r"^## From an empty AWS account.*?(?=^## )", text, re.M | re.S).group(0)


def blocks(text, language):
    """Fenced blocks, without the indentation of the list that they stand in."""
    return [re.sub(r"^   ", "", body, flags=re.M)
            for body in re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.M | re.S)]


def commands(path):
    """Commands of a text, fenced (sh) or indented by four, continued lines joined."""
    text = path.read_text()
    lines = "".join(blocks(text, "sh")) + "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    return [line.strip() for line in lines.replace("\\\n", " ").splitlines() if line.strip()]


def words(command):
    """The command's words up to a comment, a pipe or a redirection."""
    found = shlex.split(command, comments=True)
    return found[:next((i for i, w in enumerate(found) if w in (">", "|", "&&", "||")), len(found))]


def options(found):
    """--name value… -> {name: [values]}"""
    result, name = {}, None
    for word in found:
        if word.startswith("--"):
            name = word[2:]
            result[name] = []
        elif name:
            result[name].append(word)
    return result


AWS = [(path, command) for path in TEXTS for command in commands(path) if command.startswith("aws ")]
STACKS = [options(words(c)[3:]) for _, c in AWS if c.startswith("aws cloudformation deploy")]


def test_every_call_of_aws_has_options_that_the_service_has():
    session = botocore.session.get_session()
    checked = 0
    for path, command in AWS:
        _, service, operation, *rest = words(command)
        given = set(options(rest)) - GLOBAL_OPTIONS
        if service == "s3":  # the client's own too; its words are few
            assert operation in ("cp", "sync") and given <= {"recursive", "exclude", "include"}, command
            continue
        if (service, operation) == ("cloudformation", "deploy"):
            assert given <= DEPLOY_OPTIONS, command
            continue
        try:
            model = session.get_service_model(service)
        except UnknownServiceError:
            pytest.fail(f"{path}: {command}: no service {service}")
        names = {xform_name(name).replace("_", "-"): name for name in model.operation_names}
        assert operation in names, command
        shape = model.operation_model(names[operation]).input_shape
        known = {xform_name(member).replace("_", "-") for member in shape.members}
        assert given <= known, f"{command}: {given - known}"
        needed = {xform_name(member).replace("_", "-") for member in shape.required_members}
        assert needed <= given, f"{command}: {needed - given}"
        checked += 1
    assert checked >= 6


def test_the_stacks_are_deployed_in_order_with_the_parameters_that_they_have_and_need():
    outputs, order = {}, []
    for given in STACKS:
        (file,), (stack,) = given["template-file"], given["stack-name"]
        name = file.removesuffix(".yaml")
        order.append(name)
        values = dict(p.split("=", 1) for p in given["parameter-overrides"])
        for key, value in values.items():
            output = re.fullmatch(r"<(\w+)>", value)
            if output:
                assert output.group(1) in outputs, f"{key} of {name}: no stack before it has the output {output.group(1)}"
                values[key] = EXAMPLES[output.group(1)]
        template = Template(name, **values)  # knows names, needed ones, patterns
        named = any("RoleName" in r.get("Properties", {}) for r in template.body["Resources"].values())
        assert ("CAPABILITY_NAMED_IAM" in given.get("capabilities", [])) == named
        outputs |= dict.fromkeys(template.body["Outputs"], stack)
    assert order == ["network", "bucket", "identities"]
    for path in TEXTS:
        for output in re.findall(r"<([A-Z]\w+(?:Id|Arn|Url))>", path.read_text()):
            assert output in outputs, f"{path}: no stack has the output {output}"
    assert re.findall(r"`(\w+\.yaml)`", walk()) == ["network.yaml", "bucket.yaml", "identities.yaml"]


def test_every_file_that_a_text_names_is_there():
    for path in TEXTS:
        text = path.read_text()
        for named in re.findall(r"\bdeploy/[\w./@-]*\w", text):
            assert (ROOT / named).exists(), f"{path} names {named}"
        for command in commands(path):
            if command.startswith("sudo install ") and " -d " not in command:
                sources = [w for w in words(command)[2:-1] if not w.startswith("-") and not re.fullmatch(r"\d+", w)]
                for source in sources:
                    there = source.startswith("target/") or (ROOT if path == TEXTS[0] else path.parent).joinpath(source).exists()
                    assert there, f"{path}: {command}"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_certificates_made_as_told_are_what_roles_anywhere_takes(tmp_path):
    """An authority that may sign; a leaf for digital signatures only, whose subject names role and host."""
    made = [c for c in commands(DEPLOY / "aws/README.md") if c.startswith(("openssl ", "printf "))]
    assert len(made) == 4
    for command in made:
        run = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{command}: {run.stderr}"

    def ask(*arguments):
        run = subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert "db1.pem: OK" in ask("verify", "-x509_strict", "-CAfile", "ca.pem", "db1.pem")
    leaf, authority = ask("x509", "-in", "db1.pem", "-noout", "-text"), ask("x509", "-in", "ca.pem", "-noout", "-text")
    assert re.search(r"Subject: OU ?= ?dbbackup-uploader, CN ?= ?db1", leaf)
    assert "Version: 3" in leaf and "CA:FALSE" in leaf and "sha256WithRSAEncryption" in leaf
    assert re.search(r"Key Usage: critical\n +Digital Signature\n", leaf)
    assert "CA:TRUE" in authority and "Certificate Sign" in authority
    for key in ("ca.key", "db1.key"):
        assert (tmp_path / key).stat().st_mode & 0o077 == 0


def test_the_profile_in_the_text_is_the_one_that_the_role_writes():
    profile = configparser.ConfigParser(interpolation=None)
    profile.read_string(blocks((DEPLOY / "aws/README.md").read_text(), "ini")[0])
    theirs = (DEPLOY / "ansible/roles/dbbackup/templates/aws-config.j2").read_text()
    theirs = re.search(r"^credential_process = (.*)$", theirs, re.M).group(1)
    ours = re.sub(r"<\w+>", "?", profile["default"]["credential_process"])
    assert ours == re.sub(r"\{\{.*?\}\}", "?", theirs)


def test_the_gateways_configuration_is_made_by_the_command_as_told(tmp_path):
    command, = [c for c in commands(DEPLOY / "strongswan/README.md") if "./from-aws" in c]
    (tmp_path / "vpn.json").write_text(json.dumps(
        {"VpnConnections": [{"CustomerGatewayConfiguration": customer_gateway_xml()}]}))
    program, *rest = words(command.removeprefix("sudo "))
    run = subprocess.run([DEPLOY / "strongswan" / program, *rest, "--out", tmp_path / "etc"], cwd=tmp_path,
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "etc/swanctl/conf.d/dbbackup.conf").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_nightly_drop_ins_make_the_timer_daily_and_keep_the_unit_sound(tmp_path):
    for unit in ("dbbackup.service", "dbbackup.timer"):
        text = (DEPLOY / "systemd" / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/usr/local/bin/dbbackup", "/bin/true"))
    for line in re.findall(r"install -D -m 644 deploy/systemd/(\S+) /etc/systemd/system/(\S+)", walk()):
        target = tmp_path / line[1]
        target.parent.mkdir(exist_ok=True)
        shutil.copy(DEPLOY / "systemd" / line[0], target)
    assert sorted(p.name for p in tmp_path.glob("*.d")) == ["dbbackup.service.d", "dbbackup.timer.d"]
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "dbbackup.service", tmp_path / "dbbackup.timer"],
                         capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
    calendar = re.findall(r"^OnCalendar=(.*)$", (DEPLOY / "systemd/nightly.conf").read_text(), re.M)
    assert calendar[0] == ""  # takes the weekly one away
    run = subprocess.run(["systemd-analyze", "calendar", "--iterations=2", calendar[1]], env=os.environ | {"TZ": "UTC", "LC_ALL": "C"},
                         capture_output=True, text=True, check=True)
    first, second = re.findall(r"(\d{4}-\d\d-\d\d) 01:00:00", run.stdout.split("Next elapse")[1])[:2]
    assert date.fromisoformat(second) - date.fromisoformat(first) == timedelta(1)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_watch_over_the_tunnels_is_sound_and_can_do_little(tmp_path):
    for unit in ("dbbackup-vpn-watch.service", "dbbackup-vpn-watch.timer"):
        text = (DEPLOY / "strongswan" / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/etc/swanctl/dbbackup-watch", "/bin/true"))
    units = [tmp_path / "dbbackup-vpn-watch.service", tmp_path / "dbbackup-vpn-watch.timer"]
    (tmp_path / "strongswan.service").write_text("[Service]\nExecStart=/bin/true\n")
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
    run = subprocess.run(["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=25", units[0]],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif("DBBACKUP_BIN" not in os.environ, reason="DBBACKUP_BIN is not set: no binary to walk with")
def test_the_walks_own_commands_back_up_and_prove_and_restore(tmp_path):
    """Steps 4, 5 and 7 as they stand, against the server of `demo --serve` in place of the bucket."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dbbackup").symlink_to(os.environ["DBBACKUP_BIN"])
    yesterday = date.today() - timedelta(1)
    dump = tmp_path / f"mysql/shop/shop_{yesterday:%Y%m%d}.sql"
    dump.parent.mkdir(parents=True)
    dump.write_text("-- MySQL dump 10.13  Distrib 8.0.39\nCREATE TABLE t (a INT);\nINSERT INTO t VALUES (1),(2);\n"
                    f"-- Dump completed on {yesterday} 23:00:02\n")
    os.utime(dump, (1_000_000_000, 1_000_000_000))  # at rest
    server = subprocess.Popen([tmp_path / "bin/dbbackup", "demo", "--serve", tmp_path / "served"],
                              stdout=subprocess.PIPE, text=True)
    try:
        url, bucket = re.search(r"(http://127\.0\.0\.1:\d+) with bucket ([a-z-]+)", server.stdout.readline()).groups()
        text, = blocks(walk(), "toml")
        for was, now in {
            '"/srv/backup/mysql"': f'"{tmp_path}/mysql"', '"/var/log/dbbackup"': f'"{tmp_path}/log"',
            '"example-backup"': f'"{bucket}"',
            '"https://bucket.vpce-0a1b2c3d.s3.eu-central-1.vpce.amazonaws.com"': f'"{url}"\npath_style = true',
        }.items():
            assert text.count(was) == 1, was
            text = text.replace(was, now)
        (tmp_path / "config.toml").write_text(f'{text}\n[state]\ndir = "{tmp_path}/state"\n')
        host = platform.node().split(".")[0]
        environment = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "AWS_ACCESS_KEY_ID": "demo",
                                    "AWS_SECRET_ACCESS_KEY": "demo-secret", "AWS_EC2_METADATA_DISABLED": "true",
                                    "DBBACKUP_CONFIG": str(tmp_path / "config.toml")}
        told = re.findall(r"^(?:sudo --preserve-env=AWS_CONFIG_FILE -u dbbackup )?(dbbackup .*)$",
                          "".join(blocks(walk(), "sh")), re.M)
        for command in told:
            command = command.replace("--host db1", f"--host {host}").replace("/var/tmp/back", f"{tmp_path}/back")
            verb = command.split()[1]
            if verb == "drill" and not (shutil.which("mariadbd") or shutil.which("mysqld")):
                print(f"not run, no server of MariaDB or MySQL: {command}")
                continue
            run = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=300,
                                 check=False, stdin=subprocess.DEVNULL)
            print(f"$ {command}\n{run.stdout}{run.stderr}")
            # What `check` says of a server that is not AWS's is its own business, not that it says nothing.
            good = (0, 1) if verb == "check" else (0,)
            assert run.returncode in good and run.stdout + run.stderr, f"{command}: {run.returncode} {run.stdout}{run.stderr}"
            if command == "dbbackup all":
                assert "1 backups uploaded to S3." in run.stderr.splitlines()[-1], run.stderr
        back, = (p for p in (tmp_path / "back").rglob("*") if p.is_file())
        assert back.read_bytes() == dump.read_bytes()
    finally:
        server.terminate()
        server.wait(20)
    assert [c.split()[1] for c in told] == ["config", "check", "all", "all", "status", "drill", "restore"]
