"""A real VPN on one machine: deploy/strongswan's files, two charons, S3 on the far side."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vpn import (DATABASE, ENDPOINT, KEYS, OWN, Charon, Sites, aws_side, customer_gateway_xml, from_aws,
                 inside, sh, wait)
from cfn import DEPLOY

HERE = Path(__file__).parent
PORT = 9000
URL = f"http://{ENDPOINT}:{PORT}"
ENVIRONMENT = os.environ | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                            "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true"}
SIZE = 192 << 20

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists() or not Path("/usr/lib/ipsec/charon").exists(),
    reason="needs root, /dev/net/tun and strongSwan",
)


# --- from-aws, without a tunnel ---------------------------------------------------------------------


def test_secrets_are_readable_by_root_only(tmp_path):
    swanctl, _ = from_aws(tmp_path)
    assert swanctl.stat().st_mode & 0o777 == 0o600
    assert KEYS[0] not in swanctl.read_text()  # base64


def test_aws_answer_and_the_xml_in_it_give_the_same_files(tmp_path):
    xml = from_aws(tmp_path / "xml")[0].read_text()
    answer = {"VpnConnections": [{"CustomerGatewayConfiguration": customer_gateway_xml()}]}
    (tmp_path / "vpn.json").write_text(json.dumps(answer))
    sh(DEPLOY / "strongswan/from-aws", "--vpc-cidr", "10.77.0.0/24", "--local-address", OWN, "--updown",
       DEPLOY / "strongswan/updown", "--out", tmp_path / "json", tmp_path / "vpn.json")
    assert (tmp_path / "json/swanctl/conf.d/dbbackup.conf").read_text() == xml


@pytest.mark.parametrize("name, document, complaint", [
    ("one tunnel only", re.sub(r"<ipsec_tunnel>.*?</ipsec_tunnel>", "", customer_gateway_xml(), count=1, flags=re.S),
     "1 tunnels found"),
    ("no key", re.sub(r"<pre_shared_key>.*?</pre_shared_key>", "", customer_gateway_xml()), "ike/pre_shared_key"),
    ("an address that is none", customer_gateway_xml().replace("203.0.113.1<", "203.0.113.1; x<"), "not an IPv4"),
    ("an entity", '<!DOCTYPE a [<!ENTITY b "c">]>' + customer_gateway_xml(), "entities"),
    ("not XML", "hello", "not AWS's XML"),
    ("several connections", '{"VpnConnections": [{}, {}]}', "2 VPN connections"),
])
def test_parameters_that_cannot_be_right_are_refused_and_nothing_is_written(tmp_path, name, document, complaint):
    (tmp_path / "vpn").write_text(document)
    run = subprocess.run([DEPLOY / "strongswan/from-aws", "--vpc-cidr", "10.77.0.0/24", "--local-address", OWN,
                          "--out", tmp_path / "etc", tmp_path / "vpn"], capture_output=True, text=True, check=False)
    assert run.returncode != 0, name
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "etc").exists()


def test_a_real_charon_loads_the_kernel_ipsec_configuration(tmp_path):
    swanctl, charon = from_aws(tmp_path / "etc")  # --backend xfrm, the default
    assert "if_id_out = 2" in swanctl.read_text()
    with Sites() as sites:
        gateway = Charon(tmp_path / "gw", sites.gw, f"include {charon}")
        try:
            assert "successfully loaded 2 connections" in gateway.load(swanctl)
            listed = gateway.swanctl("--list-conns")
            assert "aws1: IKEv2" in listed and "aws2: IKEv2" in listed
        finally:
            gateway.stop()


# --- the tunnels ------------------------------------------------------------------------------------


class Vpn:
    """Both sites up, tunnels standing, S3 answering behind the far one."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.sites = Sites()
        self.children = []

    def __enter__(self):
        try:
            self.sites.__enter__()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        d = self.directory
        self.swanctl, include = from_aws(d / "etc", "--backend", "libipsec")
        # AWS gives a dead peer up after 30 s; the stand-in gets the same timers as the company's side.
        self.aws = Charon(d / "aws", self.sites.aws, f"include {include}")
        self.children.append(self.aws.process)
        self.gw = Charon(d / "gw", self.sites.gw, f"include {include}")
        self.children.append(self.gw.process)
        (d / "aws.conf").write_text(aws_side())
        self.aws.load(d / "aws.conf")
        sh("ip", "-n", self.sites.aws, "route", "add", "10.20.0.0/24", "dev", "ipsec0", "src", ENDPOINT)
        self.gw.load(self.swanctl)
        self.both_up(30)
        # The updown script runs after the daemon reports the tunnel.
        wait(lambda: len(self.routes()) == 2, 10, "a route for each tunnel")
        server = subprocess.Popen(
            inside(self.sites.aws, sys.executable, "-m", "moto.server", "-H", ENDPOINT, "-p", PORT),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
        self.children.append(server)
        wait(self.answers, 60, "S3 answers through the tunnel")
        self.in_db(sys.executable, "-c", "import boto3; boto3.client('s3', endpoint_url='" + URL + "')"
                   ".create_bucket(Bucket='example-backup', CreateBucketConfiguration="
                   "{'LocationConstraint': 'eu-central-1'})")

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        self.sites.__exit__()

    def in_db(self, *command, **options):
        return sh(*inside(self.sites.db, *command), env=ENVIRONMENT, timeout=240, **options)

    def answers(self, port=PORT):
        return subprocess.run(inside(self.sites.db, sys.executable, "-c",
                                     f"import socket; socket.create_connection(('{ENDPOINT}', {port}), 2)"),
                              capture_output=True, check=False).returncode == 0

    def both_up(self, seconds):
        wait(lambda: self.gw.up() == {"aws1", "aws2"}, seconds, "both tunnels stand")

    def routes(self):
        text = sh("ip", "-n", self.sites.gw, "route", "show", "10.77.0.0/24")
        return [line for line in text.splitlines() if "ipsec0" in line]

    def sniff(self, namespace, device):
        child = subprocess.Popen(inside(namespace, sys.executable, HERE / "sniff.py", device, PORT),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        return child

    def through_the_tunnels(self):
        path = "/sys/class/net/ipsec0/statistics/tx_bytes"
        return int(sh(*inside(self.sites.gw, "cat", path)))

    def log(self):
        return (self.directory / "gw/charon.log").read_text()


def seen(child):
    out, _ = child.communicate(timeout=20)
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def vpn(tmp_path_factory):
    with Vpn(tmp_path_factory.mktemp("vpn")) as running:
        yield running


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """A file that looks like a dump and does not compress away."""
    path = tmp_path_factory.mktemp("source") / "shop_20250818.sql"
    generator = random.Random(20250818)
    with path.open("wb") as file:
        file.write(b"-- MySQL dump 10.13  Distrib 8.0.39, for Linux (x86_64)\n")
        for _ in range(SIZE >> 20):
            file.write(b"-- " + generator.randbytes((1 << 20) - 4).replace(b"\n", b" ") + b"\n")
        file.write(b"-- Dump completed on 2025-08-18  1:00:02\n")
    return path


def digest(path):
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_both_tunnels_come_up_with_algorithms_of_network_yaml(vpn):
    text = vpn.gw.swanctl("--list-sas")
    assert text.count("ESTABLISHED, IKEv2") == 2
    assert set(re.findall(r"AES_GCM_16-256/PRF_HMAC_SHA2_384/ECP_384", text))
    assert len(re.findall(r"ESP:AES_GCM_16-256", text)) == 2


def test_a_peer_that_offers_only_weak_algorithms_is_refused(vpn, tmp_path):
    weak = vpn.swanctl.read_text()
    weak = re.sub(r"(?<!esp_)proposals = .*", "proposals = aes128-sha1-modp1024", weak)
    weak = weak.replace("aws1", "weak1").replace("aws2", "weak2").replace("start_action = start", "start_action = none")
    (tmp_path / "weak.conf").write_text(weak)
    vpn.gw.load(tmp_path / "weak.conf")
    try:
        out = vpn.gw.swanctl("--initiate", "--child", "weak1", "--timeout", "10", check=False)
        assert "NO_PROPOSAL_CHOSEN" in out + vpn.log()
        assert "weak1" not in vpn.gw.up()
    finally:
        vpn.gw.load(vpn.swanctl)
        vpn.both_up(30)


def test_the_first_tunnel_is_preferred_and_the_vpc_is_unreachable_without_any(vpn):
    metrics = sorted(int(re.search(r"metric (\d+)", line).group(1)) for line in vpn.routes())
    assert metrics == [101, 102]
    assert "unreachable 10.77.0.0/24 metric 4096" in sh("ip", "-n", vpn.sites.gw, "route", "show")


def test_mss_of_connections_is_clamped_to_what_aws_names(vpn):
    watch = vpn.sniff(vpn.sites.aws, "ipsec0")
    assert vpn.answers()
    mss = seen(watch)["mss"]
    assert mss and max(mss) <= 1379
    assert mss[0] == 1379  # the client's own was 1460


def test_the_vpc_can_open_no_connection_to_the_company(vpn, tmp_path):
    connect = ("import socket, sys\nsocket.create_connection((sys.argv[1], 4433), 2, "
               f"source_address=('{ENDPOINT}', 0)).recv(2)")

    def reached(address):
        return subprocess.run(inside(vpn.sites.aws, sys.executable, "-c", connect, address), capture_output=True,
                              check=False).returncode == 0

    listen = ("import socket\ns = socket.create_server(('', 4433)); print('ready', flush=True)\n"
              "while True: s.accept()[0].sendall(b'ok')")
    listeners = [subprocess.Popen(inside(namespace, sys.executable, "-c", listen), stdout=subprocess.PIPE, text=True)
                 for namespace in (vpn.sites.db, vpn.sites.gw)]
    try:
        assert all(child.stdout.readline() == "ready\n" for child in listeners)
        addresses = (DATABASE, "10.20.0.1")
        assert [reached(address) for address in addresses] == [False, False]
        assert vpn.answers()
        # It is the filter: without it both are reached.
        rules = tmp_path / "rules"
        rules.write_text(sh(*inside(vpn.sites.gw, "nft", "list", "ruleset")))
        sh(*inside(vpn.sites.gw, "nft", "flush", "ruleset"))
        try:
            assert [reached(address) for address in addresses] == [True, True]
        finally:
            sh(*inside(vpn.sites.gw, "nft", "-f", rules))
        assert [reached(address) for address in addresses] == [False, False]
    finally:
        for child in listeners:
            child.kill()
            child.wait(20)


def test_upload_and_download_go_through_the_tunnel_and_only_through_it(vpn, dump, tmp_path):
    watches = [vpn.sniff(vpn.sites.gw, device) for device in ("wana", "wanb")]
    before, began = vpn.through_the_tunnels(), time.monotonic()
    vpn.in_db(sys.executable, HERE / "client.py", "put", URL, dump)
    seconds = time.monotonic() - began
    carried = vpn.through_the_tunnels() - before
    vpn.in_db(sys.executable, HERE / "client.py", "get", URL, tmp_path / "back.sql")
    assert digest(tmp_path / "back.sql") == digest(dump)
    assert carried >= dump.stat().st_size
    kinds = [seen(watch)["kinds"] for watch in watches]
    assert set().union(*kinds) <= {"udp 4500", "udp 500", "later fragment"}, kinds
    print(f"{carried / 1e6:.0f} MB in {seconds:.1f} s; on the wire: {kinds}")


def cut_in_mid_upload(vpn, start, size):
    """Starts an upload, takes away the link of the tunnel that carries it once a sixth is through, and waits.

    Which one that is, is told by the bytes since the upload began: over its lifetime the other tunnel may
    have carried more.
    """
    vpn.both_up(60)
    wait(lambda: len(vpn.routes()) == 2, 10, "a route for each tunnel")
    before, standing = vpn.through_the_tunnels(), vpn.gw.carried()
    upload = start()
    try:
        wait(lambda: vpn.through_the_tunnels() - before > size // 6 or upload.poll() is not None, 60,
             "a sixth of the upload")
        since = carried_since(vpn, standing)
        in_use, other = sorted(since, key=since.get, reverse=True)
        letter = {"aws1": "a", "aws2": "b"}[in_use]
        began = time.monotonic()
        vpn.sites.cut(letter)
        try:
            assert upload.poll() is None, f"the upload ended before the cut: {upload.communicate()[0]}"
            assert vpn.through_the_tunnels() - before < size
            out, _ = upload.communicate(timeout=400)
            took = time.monotonic() - began
            alive, after = vpn.gw.up(), carried_since(vpn, standing)
        finally:
            vpn.sites.mend(letter)
    finally:
        upload.kill()
    print(f"{in_use} was cut; the upload ended {took:.0f} s later over {alive}; bytes since its start: "
          f"{since} at the cut, {after} at the end")
    assert in_use not in alive
    assert after[other] - since[other] > size // 2, "the rest did not go through the other tunnel"
    return upload.returncode, out


def carried_since(vpn, before):
    """Bytes that each tunnel has sent since `before`, what vpn.gw.carried() said then."""
    since = {"aws1": 0, "aws2": 0}
    for (name, number), sent in vpn.gw.carried().items():
        since[name] += sent - before.get((name, number), 0)
    return since


def test_upload_survives_the_loss_of_the_tunnel_in_use(vpn, dump, tmp_path):
    def start():
        return subprocess.Popen(inside(vpn.sites.db, sys.executable, HERE / "client.py", "put", URL, dump),
                                env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    code, out = cut_in_mid_upload(vpn, start, dump.stat().st_size)
    assert code == 0, out
    vpn.in_db(sys.executable, HERE / "client.py", "get", URL, tmp_path / "back.sql")
    assert digest(tmp_path / "back.sql") == digest(dump)


@pytest.mark.skipif("DBBACKUP_BIN" not in os.environ, reason="DBBACKUP_BIN is not set: no binary to send with")
def test_dbbackup_backs_up_and_restores_through_the_tunnel_and_survives_its_loss(vpn, dump, tmp_path):
    """Against the strict server of `demo --serve`: the emulator answers CRC64NVME with another checksum."""
    binary = os.environ["DBBACKUP_BIN"]
    server = subprocess.Popen(inside(vpn.sites.aws, binary, "demo", "--serve", tmp_path / "bucket"),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    vpn.children.append(server)
    found = re.search(r"http://127\.0\.0\.1:(\d+) with bucket ([a-z-]+)", server.stdout.readline())
    forward = subprocess.Popen(inside(vpn.sites.aws, sys.executable, HERE / "forward.py", ENDPOINT, PORT + 1,
                                      found.group(1)))
    vpn.children.append(forward)
    wait(lambda: vpn.answers(PORT + 1), 30, "the server answers through the tunnel")
    environment = ENVIRONMENT | {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret"}
    source = tmp_path / "mysql/shop"
    source.mkdir(parents=True)
    (source / dump.name).hardlink_to(dump)
    config = tmp_path / "config.toml"
    config.write_text(f"""
[mysql]
source = "{tmp_path}/mysql"

[s3]
bucket = "{found.group(2)}"
prefix = "vpn"
region = "eu-central-1"
endpoint_url = "http://{ENDPOINT}:{PORT + 1}"
path_style = true
# As deploy/strongswan/README.md advises: sooner than TCP's own patience.
stall_timeout = "30s"

[log]
dir = "{tmp_path}/log"

[state]
dir = "{tmp_path}/state"
""")
    base = [binary, "--config", config]

    def start():
        return subprocess.Popen(inside(vpn.sites.db, *base, "all", "--date", "2025-08-18"), env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    code, out = cut_in_mid_upload(vpn, start, dump.stat().st_size)
    print(out)
    assert code == 0, out
    assert "1 backups uploaded to S3." in out
    sh(*inside(vpn.sites.db, *base, "restore", "--latest", "mysql/shop", "--to", tmp_path / "back"),
       env=environment, timeout=240)
    back, = (p for p in (tmp_path / "back").rglob("*") if p.is_file())
    assert digest(back) == digest(dump)


def test_the_lost_tunnel_comes_back_by_itself(vpn):
    vpn.both_up(60)
    wait(lambda: len(vpn.routes()) == 2, 10, "a route for each tunnel")
    assert vpn.answers()


def test_the_watch_brings_back_a_tunnel_that_charon_has_given_up(vpn):
    vpn.gw.swanctl("--terminate", "--ike", "aws2")
    assert vpn.gw.up() == {"aws1"}
    sh(DEPLOY / "strongswan/watch", "--uri", vpn.gw.socket,
       env=os.environ | {"STRONGSWAN_CONF": str(vpn.directory / "gw/strongswan.conf")})
    vpn.both_up(10)


def test_with_both_tunnels_gone_the_server_is_told_at_once(vpn):
    """Last of this file: it takes both links away for good."""
    vpn.both_up(60)
    for letter in "ab":
        vpn.sites.cut(letter)
    wait(lambda: not vpn.routes(), 90, "both tunnels are given up")
    code = (f"import socket, time\nbegan = time.monotonic()\n"
            f"try: socket.create_connection(('{ENDPOINT}', {PORT}), 20)\n"
            "except OSError as error: print(error.errno, time.monotonic() - began)")
    errno, seconds = sh(*inside(vpn.sites.db, sys.executable, "-c", code)).split()
    assert int(errno) in (101, 113), os.strerror(int(errno))  # network or host unreachable
    assert float(seconds) < 5
