"""Two sites on one machine: the company's gateway and a stand-in for AWS's, each a network namespace
with its own charon, joined by two links, one for each tunnel.

                       link A   203.0.113.1
    db ─── gw (charon) ════════ aws (charon) ─── 10.77.0.10, the S3 endpoint
    10.20.0.10         ════════
                       link B   203.0.113.2

The kernel needs no ESP: both daemons use strongSwan's own (kernel-libipsec, over a TUN device).
"""

import os
import re
import subprocess
import time
from pathlib import Path

from cfn import DEPLOY, Template

OWN = "198.51.100.10"
PEERS = ["203.0.113.1", "203.0.113.2"]
KEYS = ["an_Invented.key1", "an.Invented_key2"]
INSIDE = [("169.254.77.2", "169.254.77.1"), ("169.254.77.6", "169.254.77.5")]
DATABASE = "10.20.0.10"
ENDPOINT = "10.77.0.10"
VPC = "10.77.0.0/24"
PLUGINS = ("random nonce openssl kdf hmac gcm aes sha2 sha1 kernel-libipsec kernel-netlink socket-default "
           "updown vici")

DH = {14: "modp2048", 19: "ecp256", 20: "ecp384", 21: "ecp521"}
CIPHER = {"AES256": "aes256", "AES256-GCM-16": "aes256gcm16"}
HASH = {"SHA2-256": "sha256", "SHA2-384": "sha384", "SHA2-512": "sha512"}


def sh(*command, check=True, **options):
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if check and run.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {run.stderr or run.stdout}")
    return run.stdout


def customer_gateway_xml(dpd=10):
    """What AWS's describe-vpn-connections carries, with the fields that its schema has."""

    def outside(ip):
        return f"<tunnel_outside_address><ip_address>{ip}</ip_address></tunnel_outside_address>"

    def inside(ip):
        return (f"<tunnel_inside_address><ip_address>{ip}</ip_address><network_mask>255.255.255.252"
                "</network_mask><network_cidr>30</network_cidr></tunnel_inside_address>")

    tunnels = "".join(f"""
  <ipsec_tunnel>
    <customer_gateway>{outside(OWN)}{inside(own)}</customer_gateway>
    <vpn_gateway>{outside(peer)}{inside(aws)}</vpn_gateway>
    <ike>
      <authentication_protocol>sha1</authentication_protocol>
      <encryption_protocol>aes-128-cbc</encryption_protocol>
      <lifetime>28800</lifetime>
      <perfect_forward_secrecy>group2</perfect_forward_secrecy>
      <mode>main</mode>
      <pre_shared_key>{key}</pre_shared_key>
    </ike>
    <ipsec>
      <protocol>esp</protocol>
      <authentication_protocol>hmac-sha1-96</authentication_protocol>
      <encryption_protocol>aes-128-cbc</encryption_protocol>
      <lifetime>3600</lifetime>
      <perfect_forward_secrecy>group2</perfect_forward_secrecy>
      <mode>tunnel</mode>
      <clear_df_bit>true</clear_df_bit>
      <fragmentation_before_encryption>true</fragmentation_before_encryption>
      <tcp_mss_adjustment>1379</tcp_mss_adjustment>
      <dead_peer_detection><interval>{dpd}</interval><retries>3</retries></dead_peer_detection>
    </ipsec>
  </ipsec_tunnel>""" for peer, key, (own, aws) in zip(PEERS, KEYS, INSIDE, strict=True))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<vpn_connection id="vpn-0123456789abcdef0">
  <customer_gateway_id>cgw-0123456789abcdef0</customer_gateway_id>
  <vpn_gateway_id>vgw-0123456789abcdef0</vpn_gateway_id>
  <vpn_connection_type>ipsec.1</vpn_connection_type>{tunnels}
</vpn_connection>
"""


def proposals(index):
    """What deploy/aws/network.yaml lets tunnel `index` negotiate, in charon's words: (IKE, ESP)."""
    network = Template("network", CustomerGatewayIp=OWN, OnPremisesCidr="10.20.0.0/24", BucketName="example")
    options = network.resource("VpnConnection")["VpnTunnelOptionsSpecifications"][index]

    def words(phase, prf):
        def of(kind):
            return [v["Value"] for v in options[f"Phase{phase}{kind}"]]

        groups = "-".join(DH[n] for n in of("DHGroupNumbers"))
        hashes = [HASH[n] for n in of("IntegrityAlgorithms")]
        both = []
        for cipher in of("EncryptionAlgorithms"):
            if "GCM" in cipher:
                middle = [f"prf{h}" for h in hashes] if prf else []
            else:
                middle = hashes
            both.append("-".join([CIPHER[cipher], *middle, groups]))
        return ",".join(both)

    assert [v["Value"] for v in options["IKEVersions"]] == ["ikev2"]
    return words(1, True), words(2, False)


def aws_side(offers=None):
    """The stand-in for AWS's ends of both tunnels: it answers, as AWS does for a company behind NAT."""
    connections = secrets = ""
    for i, peer in enumerate(PEERS):
        ike, esp = offers or proposals(i)
        connections += f"""
  tunnel{i + 1} {{
    version = 2
    local_addrs = {peer}
    remote_addrs = {OWN}
    proposals = {ike}
    encap = yes
    dpd_delay = 10s
    unique = replace
    local {{ auth = psk
      id = {peer} }}
    remote {{ auth = psk
      id = {OWN} }}
    children {{ tunnel{i + 1} {{
      local_ts = 0.0.0.0/0
      remote_ts = 0.0.0.0/0
      esp_proposals = {esp}
      dpd_action = clear }} }}
  }}"""
        secrets += f"""
  ike-{i + 1} {{ id-1 = {peer}
    id-2 = {OWN}
    secret = "{KEYS[i]}" }}"""
    return f"connections {{{connections}\n}}\nsecrets {{{secrets}\n}}\n"


class Charon:
    """A charon of its own in a namespace: own configuration, own /run, own control socket."""

    def __init__(self, directory, namespace, include=""):
        self.directory = Path(directory)
        (self.directory / "run").mkdir(parents=True)
        self.socket = f"unix://{self.directory}/vici"
        self.log = self.directory / "charon.log"
        configuration = self.directory / "strongswan.conf"
        configuration.write_text(f"""charon {{
  load_modular = no
  load = {PLUGINS}
  install_routes = no
  routing_table_prio = 40000
  plugins {{
    kernel-libipsec {{
      allow_peer_ts = yes
    }}
    vici {{
      socket = {self.socket}
    }}
  }}
  filelog {{
    log {{
      path = {self.log}
      default = 1
      flush_line = yes
    }}
  }}
}}
{include}
""")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "unshare", "--mount", "sh", "-c",
             f"mount --bind {self.directory}/run /run && exec /usr/lib/ipsec/charon"],
            env=os.environ | {"STRONGSWAN_CONF": str(configuration),
                              "DBBACKUP_VPN_STATE": str(self.directory / "state")},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        wait(lambda: (self.directory / "vici").exists(), 15, f"charon in {namespace} opens its socket")

    def swanctl(self, *arguments, check=True):
        return sh("swanctl", *arguments, "--uri", self.socket, check=check,
                  env=os.environ | {"STRONGSWAN_CONF": str(self.directory / "strongswan.conf")})

    def load(self, file):
        return self.swanctl("--load-all", "--file", file)

    def up(self):
        """Names of the tunnels that stand."""
        return set(re.findall(r"^  (\w+): #\d+, reqid \d+, INSTALLED", self.swanctl("--list-sas"), re.M))

    def carried(self):
        """Bytes sent by each standing tunnel: (name, number of its security association) -> bytes."""
        found, key = {}, None
        for line in self.swanctl("--list-sas").splitlines():
            child = re.match(r"^  (\w+): #(\d+), reqid", line)
            key = child.groups() if child else key
            sent = re.match(r"^    out +[0-9a-f]+, +(\d+) bytes", line)
            if sent:
                found[key] = int(sent.group(1))
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Sites:
    """The namespaces and their links; a context manager that leaves nothing behind."""

    def __init__(self):
        tag = f"dbb{os.getpid()}"
        self.db, self.gw, self.aws = f"{tag}-db", f"{tag}-gw", f"{tag}-aws"

    def __enter__(self):
        for name in (self.db, self.gw, self.aws):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        self._link(self.db, "lan", "10.20.0.10/24", self.gw, "lan", "10.20.0.1/24")
        sh("ip", "-n", self.db, "route", "add", "default", "via", "10.20.0.1")
        for letter, peer in zip("ab", PEERS, strict=True):
            self._link(self.gw, f"wan{letter}", None, self.aws, f"wan{letter}", None)
            sh("ip", "-n", self.gw, "address", "add", f"{OWN}/32", "dev", f"wan{letter}")
            sh("ip", "-n", self.aws, "address", "add", f"{peer}/32", "dev", f"wan{letter}")
            sh("ip", "-n", self.gw, "route", "add", f"{peer}/32", "dev", f"wan{letter}", "src", OWN)
        # AWS reaches the one customer gateway over either link; source-based, as each of its ends is
        # a machine of its own.
        for table, (letter, peer) in enumerate(zip("ab", PEERS, strict=True), 101):
            sh("ip", "-n", self.aws, "route", "add", f"{OWN}/32", "dev", f"wan{letter}", "src", peer,
               "table", table)
            sh("ip", "-n", self.aws, "rule", "add", "from", peer, "table", table)
        # Where a real machine has its default route: what has no road must not fall into a tunnel.
        for namespace in (self.gw, self.aws):
            sh("ip", "-n", namespace, "route", "add", "unreachable", "default", "metric", "9999")
        sh("ip", "-n", self.aws, "address", "add", f"{ENDPOINT}/32", "dev", "lo")
        sh("ip", "netns", "exec", self.gw, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        return self

    def __exit__(self, *_):
        for name in (self.db, self.gw, self.aws):
            sh("ip", "netns", "del", name, check=False)

    @staticmethod
    def _link(a, a_name, a_address, b, b_name, b_address):
        sh("ip", "-n", a, "link", "add", a_name, "type", "veth", "peer", "name", b_name, "netns", b)
        for namespace, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
            if address:
                sh("ip", "-n", namespace, "address", "add", address, "dev", name)
            sh("ip", "-n", namespace, "link", "set", name, "up")

    def cut(self, letter):
        sh("ip", "-n", self.gw, "link", "set", f"wan{letter}", "down")

    def mend(self, letter):
        peer = PEERS["ab".index(letter)]
        sh("ip", "-n", self.gw, "link", "set", f"wan{letter}", "up")
        sh("ip", "-n", self.gw, "route", "replace", f"{peer}/32", "dev", f"wan{letter}", "src", OWN)
        sh("ip", "-n", self.aws, "route", "replace", f"{OWN}/32", "dev", f"wan{letter}", "src", peer,
           "table", 101 + "ab".index(letter))


def inside(namespace, *command):
    """The words that run a command in a namespace."""
    return ["ip", "netns", "exec", namespace, *map(str, command)]


def wait(true, seconds, what):
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def from_aws(out, *options, dpd=10):
    source = Path(out) / "vpn.xml"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(customer_gateway_xml(dpd))
    sh(DEPLOY / "strongswan/from-aws", "--vpc-cidr", VPC, "--local-address", OWN, "--updown", DEPLOY / "strongswan/updown",
       "--out", out, *options, source)
    return Path(out) / "swanctl/conf.d/dbbackup.conf", Path(out) / "strongswan.d/dbbackup.conf"
