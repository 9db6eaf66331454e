"""Who may do what: every policy is read out of the templates and judged by an IAM simulator.

A request meets what it would meet at AWS: the caller's identity policies, the bucket policy, and the
endpoint's policy where it comes through the endpoint.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from cfn import ACCOUNT, DEPLOY, Template

HERE = Path(__file__).parent
BUCKET = "example-backup"
ARN = f"arn:aws:s3:::{BUCKET}"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
OTHER_KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/99999999-2222-3333-4444-555555555555"
ENDPOINT = "vpce-0a1b2c3d4e5f60718"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/administrator"
ANCHOR = f"arn:aws:rolesanywhere:eu-central-1:{ACCOUNT}:trust-anchor/00000000-0000-0000-0000-000000000001"
ROLES = ["uploader", "restorer", "auditor", "pruner"]
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def templates(**extra):
    bucket = Template(
        "bucket",
        attributes={"Bucket": BUCKET, "Bucket.Arn": ARN, "Key.Arn": KEY},
        BucketName=BUCKET, VpcEndpointId=ENDPOINT, AdministratorArn=ADMIN, **extra,
    )
    identities = Template(
        "identities",
        attributes={"TrustAnchor.TrustAnchorArn": ANCHOR},
        Bucket=BUCKET, KmsKeyArn=KEY, Trust="Both", CaCertificate="PEM", OperatorArn=ADMIN,
    )
    network = Template(
        "network", CustomerGatewayIp="203.0.113.10", OnPremisesCidr="10.20.0.0/24", BucketName=BUCKET,
    )
    return bucket, identities, network


BUCKET_T, IDENTITIES, NETWORK = templates()
BUCKET_POLICY = BUCKET_T.resource("BucketPolicy")["PolicyDocument"]
KEY_POLICY = BUCKET_T.resource("Key")["KeyPolicy"]
ENDPOINT_POLICY = NETWORK.resource("S3Endpoint")["PolicyDocument"]


def identity_policy(role):
    return IDENTITIES.resource(f"{role.title()}Policy")["PolicyDocument"]


def node(question):
    run = subprocess.run(
        ["node", "simulate.mjs"], cwd=os.environ["DEPLOY_NODE_DIR"],
        input=json.dumps(question), capture_output=True, text=True, timeout=120, check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


class Caller:
    """An identity as it stands on a server: its ARN, its tags, its policies."""

    def __init__(self, name, policy=None, arn=None, tags=None):
        self.name = name
        self.arn = arn or f"arn:aws:iam::{ACCOUNT}:role/dbbackup-{name}"
        self.policies = [policy or identity_policy(name)]
        self.tags = tags if tags is not None else {"x509Subject/CN": "db1"}

    def request(self, action, resource, context, *, bucket_policy=BUCKET_POLICY):
        s3 = action.startswith("s3:")
        base = {
            "aws:PrincipalArn": self.arn,
            "aws:PrincipalAccount": ACCOUNT,
            "aws:SecureTransport": "true",
        }
        if s3:
            base |= {"s3:TlsVersion": "1.3", "s3:ResourceAccount": ACCOUNT, "aws:SourceVpce": ENDPOINT}
        base |= {f"aws:PrincipalTag/{k}": v for k, v in self.tags.items()}
        base |= context
        base = {k: v for k, v in base.items() if v is not None}
        own_endpoint = base.get("aws:SourceVpce") == ENDPOINT
        return {
            "principal": self.arn, "action": action, "resource": resource, "account": ACCOUNT,
            "context": base, "identity": self.policies,
            "resourcePolicy": bucket_policy if s3 else KEY_POLICY if action.startswith("kms:") else None,
            "endpoint": [ENDPOINT_POLICY] if s3 and own_endpoint else [],
        }


CALLERS = [Caller(role) for role in ROLES] + [Caller("administrator", EVERYTHING, ADMIN)]
INITIAL = {"uploader": "u", "restorer": "r", "auditor": "a", "pruner": "p", "administrator": "A"}

OWN = f"{ARN}/backup/db1/mysql/shop/weekly/shop_20250818.sql"
FOREIGN = f"{ARN}/backup/db2/mysql/shop/weekly/shop_20250818.sql"
ELSEWHERE = f"{ARN}/payroll/2025.xlsx"
MANIFEST = f"{ARN}/backup/db1/_catalog/mysql/shop/weekly/shop_20250818.sql/manifest.json"
PROOF = f"{ARN}/backup/db1/_catalog/mysql/shop/weekly/shop_20250818.sql/proof-20250819T020000Z-reread.json"
# A `*` of IAM spans `/`: sets and folders whose names look like a proof's.
PROOF_LIKE = f"{ARN}/backup/db1/_catalog/mysql/shop/daily/proof-x_20250818.sql/manifest.json"
PROOFS = [PROOF.replace("reread", kind) for kind in ("stored", "reread", "drilled", "restored", "failed")]
RUN_LIKE = f"{ARN}/backup/db1/_runs/host=db1/date=2025-08-19/_catalog/x/proof-1-reread.json"
RUN = f"{ARN}/backup/db1/_runs/host=db1/date=2025-08-19/20250819T010002Z-all.json"

NEW = {"s3:if-none-match": "*", "s3:ObjectCreationOperation": "true"}
BLIND = {"s3:ObjectCreationOperation": "true"}
PART = {"s3:ObjectCreationOperation": "false"}
BELOW = {"s3:prefix": "backup/db1/"}
VIA_S3 = {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}
SSE = "s3:x-amz-server-side-encryption"

# what is tried, action, resource, context, who may: u r a p = the roles, A = the administrator
TABLE = [
    # what `dbbackup all` calls
    ("put a new object", "s3:PutObject", OWN, NEW, "uA"),
    ("put a new manifest", "s3:PutObject", MANIFEST, NEW, "uA"),
    ("put a run record", "s3:PutObject", RUN, NEW, "uA"),
    ("create a multipart upload", "s3:PutObject", OWN, PART, "uA"),
    ("upload a part", "s3:PutObject", OWN, PART, "uA"),
    ("complete, if none match", "s3:PutObject", OWN, NEW, "uA"),
    ("list the parts of an upload", "s3:ListMultipartUploadParts", OWN, {}, "uA"),
    ("abort an upload", "s3:AbortMultipartUpload", OWN, {}, "uA"),
    ("list unfinished uploads", "s3:ListBucketMultipartUploads", ARN, {}, "uaA"),
    ("put, naming the bucket's key", "s3:PutObject", OWN,
     NEW | {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": KEY}, "uA"),
    ("put as STANDARD_IA", "s3:PutObject", OWN, NEW | {"s3:x-amz-storage-class": "STANDARD_IA"}, "uA"),
    # overwriting
    ("put without If-None-Match", "s3:PutObject", OWN, BLIND, "A"),
    ("complete without If-None-Match", "s3:PutObject", OWN, BLIND, "A"),
    ("put a manifest without If-None-Match", "s3:PutObject", MANIFEST, BLIND, "A"),
    ("overwrite a known content (If-Match)", "s3:PutObject", OWN, BLIND | {"s3:if-match": "etag"}, "A"),
    ("put below another host's prefix", "s3:PutObject", FOREIGN, NEW, "A"),
    ("put outside every prefix", "s3:PutObject", ELSEWHERE, NEW, "A"),
    # what `list`, `show`, `restore`, `verify` call
    ("list below the prefix", "s3:ListBucket", ARN, BELOW, "rapA"),
    ("list versions below the prefix", "s3:ListBucketVersions", ARN, BELOW, "pA"),
    ("list the whole bucket", "s3:ListBucket", ARN, {}, "A"),
    ("list another prefix", "s3:ListBucket", ARN, {"s3:prefix": "payroll/"}, "A"),
    ("get or head a backup", "s3:GetObject", OWN, {}, "raA"),
    ("get a backup's old version", "s3:GetObjectVersion", OWN, {}, "raA"),
    ("get a dead host's backup", "s3:GetObject", FOREIGN, {}, "raA"),
    ("get a manifest", "s3:GetObject", MANIFEST, {}, "rapA"),
    ("get outside every prefix", "s3:GetObject", ELSEWHERE, {}, "A"),
    ("bring back from Glacier", "s3:RestoreObject", OWN, {}, "rA"),
    *(("put a proof", "s3:PutObject", proof, NEW, "uaA") for proof in PROOFS),
    ("put a manifest of a set that is called like a proof", "s3:PutObject", PROOF_LIKE, NEW, "uA"),
    ("put a run record that is called like a proof", "s3:PutObject", RUN_LIKE, NEW, "uA"),
    ("put a proof without If-None-Match", "s3:PutObject", PROOF, BLIND, "A"),
    # what `prune` calls
    ("delete an object", "s3:DeleteObject", OWN, {}, "p"),
    ("delete a version", "s3:DeleteObjectVersion", OWN, {}, "p"),
    ("delete a manifest", "s3:DeleteObject", MANIFEST, {}, "p"),
    ("delete outside every prefix", "s3:DeleteObject", ELSEWHERE, {}, ""),
    # what `check` reads
    ("read versioning", "s3:GetBucketVersioning", ARN, {}, "aA"),
    ("read encryption", "s3:GetEncryptionConfiguration", ARN, {}, "aA"),
    ("read the public access block", "s3:GetBucketPublicAccessBlock", ARN, {}, "aA"),
    ("read ownership", "s3:GetBucketOwnershipControls", ARN, {}, "aA"),
    ("read the policy's status", "s3:GetBucketPolicyStatus", ARN, {}, "aA"),
    ("read the lifecycle", "s3:GetLifecycleConfiguration", ARN, {}, "aA"),
    ("read object lock", "s3:GetBucketObjectLockConfiguration", ARN, {}, "aA"),
    # what no job may change
    ("change the bucket policy", "s3:PutBucketPolicy", ARN, {}, "A"),
    ("suspend versioning", "s3:PutBucketVersioning", ARN, {}, "A"),
    ("change the lifecycle", "s3:PutLifecycleConfiguration", ARN, {}, "A"),
    ("delete the bucket", "s3:DeleteBucket", ARN, {}, "A"),
    ("change a retention", "s3:PutObjectRetention", OWN, {}, "A"),
    ("bypass governance", "s3:BypassGovernanceRetention", OWN, {}, "A"),
    ("tag an object", "s3:PutObjectTagging", OWN, {}, "A"),
    ("change the category tag", "s3:PutObjectTagging", OWN,
     {"s3:ExistingObjectTag/dbbackup-category": "monthly"}, "A"),
    ("replicate to elsewhere", "s3:PutReplicationConfiguration", ARN, {}, "A"),
    ("stop the access logs", "s3:PutBucketLogging", ARN, {}, "A"),
    ("change the default encryption", "s3:PutEncryptionConfiguration", ARN, {}, "A"),
    ("take away the public access block", "s3:PutBucketPublicAccessBlock", ARN, {}, "A"),
    ("shorten the default retention", "s3:PutBucketObjectLockConfiguration", ARN, {}, "A"),
    ("end the key", "kms:ScheduleKeyDeletion", KEY, {}, "A"),
    ("publish an object", "s3:PutObjectAcl", OWN, {}, "A"),
    # encryption
    ("put with SSE-S3 on a KMS bucket", "s3:PutObject", OWN, NEW | {SSE: "AES256"}, ""),
    ("put under AWS's own key (no key named)", "s3:PutObject", OWN, NEW | {SSE: "aws:kms"}, ""),
    ("re-encrypt an object", "s3:UpdateObjectEncryption", OWN, {}, "A"),
    ("put under another KMS key", "s3:PutObject", OWN,
     NEW | {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": OTHER_KEY}, ""),
    ("put with a customer's key (SSE-C)", "s3:PutObject", OWN,
     NEW | {f"{SSE}-customer-algorithm": "AES256"}, ""),
    ("encrypt through S3", "kms:GenerateDataKey", KEY, VIA_S3, "uaA"),
    ("decrypt through S3", "kms:Decrypt", KEY, VIA_S3, "urapA"),
    ("decrypt at KMS itself", "kms:Decrypt", KEY, {}, "A"),
    ("decrypt with another key", "kms:Decrypt", OTHER_KEY, VIA_S3, "A"),
    # the road
    ("put over TLS 1.1", "s3:PutObject", OWN, NEW | {"s3:TlsVersion": "1.1"}, ""),
    ("put over TLS 1.2", "s3:PutObject", OWN, NEW | {"s3:TlsVersion": "1.2"}, "uA"),
    ("put over plain http", "s3:PutObject", OWN,
     NEW | {"aws:SecureTransport": "false", "s3:TlsVersion": None}, ""),
    ("put from the internet", "s3:PutObject", OWN, NEW | {"aws:SourceVpce": None}, "A"),
    ("get from the internet", "s3:GetObject", OWN, {"aws:SourceVpce": None}, "A"),
    ("list from the internet", "s3:ListBucket", ARN, BELOW | {"aws:SourceVpce": None}, "A"),
    ("delete from the internet", "s3:DeleteObject", OWN, {"aws:SourceVpce": None}, ""),
    ("get through another endpoint", "s3:GetObject", OWN, {"aws:SourceVpce": "vpce-0ffff"}, "A"),
    ("get through Athena", "s3:GetObject", RUN,
     {"aws:SourceVpce": None, "aws:CalledVia": ["athena.amazonaws.com"]}, "A"),
    ("another bucket through the endpoint", "s3:PutObject", "arn:aws:s3:::elsewhere/x", NEW, ""),
]


def test_each_job_may_make_its_calls_and_no_other():
    requests = [c.request(action, resource, context)
                for _, action, resource, context, _ in TABLE for c in CALLERS]
    answers = iter(node({"requests": requests}))
    lines, wrong = [], []
    for name, action, *_, may in TABLE:
        cells = []
        for caller in CALLERS:
            answer = next(answers)
            if answer.startswith("error"):
                wrong.append(f"{name}: {answer}")
            allowed = answer == "Allowed"
            expected = INITIAL[caller.name] in may
            cells.append("allow" if allowed else "-")
            if allowed != expected:
                wrong.append(f"{name} ({action}) by {caller.name}: {answer}, expected "
                             f"{'Allowed' if expected else 'a denial'}")
        lines.append(f"{name:38}" + "".join(f"{cell:>10}" for cell in cells))
    print(" " * 38 + "".join(f"{c.name[:9]:>10}" for c in CALLERS))
    print("\n".join(lines))
    assert not wrong, "\n".join(wrong)


EXACTLY = {
    "uploader": {"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
                 "s3:ListBucketMultipartUploads", "kms:GenerateDataKey", "kms:Decrypt"},
    "restorer": {"s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion", "s3:RestoreObject", "kms:Decrypt"},
    "auditor": {"s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion",
                "s3:ListBucketMultipartUploads", "s3:GetBucketVersioning",
                "s3:GetEncryptionConfiguration", "s3:GetBucketPublicAccessBlock",
                "s3:GetBucketOwnershipControls", "s3:GetBucketPolicyStatus", "s3:GetLifecycleConfiguration",
                "s3:GetBucketObjectLockConfiguration", "s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt"},
    "pruner": {"s3:ListBucket", "s3:ListBucketVersions", "s3:GetObject", "s3:GetObjectVersion",
               "s3:DeleteObject", "s3:DeleteObjectVersion", "kms:Decrypt"},
}


@pytest.mark.parametrize("role", ROLES)
def test_no_other_action_of_s3_kms_sts_or_iam_is_allowed(role):
    """Every action that AWS's service reference knows, on objects of the most favourable kind."""
    arns = {"bucket": [ARN], "object": [MANIFEST, PROOF], "key": [KEY],
            "role": [f"arn:aws:iam::{ACCOUNT}:role/dbbackup-pruner"],
            "user": [f"arn:aws:iam::{ACCOUNT}:user/dbbackup-pruner"]}
    caller, requests = Caller(role), []
    for service in ("s3", "kms", "sts", "iam"):
        context = (BELOW | NEW) if service == "s3" else VIA_S3 if service == "kms" else {}
        for action in node({"actions": service}):
            places = [arn for kind in action["kinds"] for arn in arns.get(kind, [])]
            if not action["kinds"]:
                places = ["*"]
            requests += [caller.request(action["name"], place, context) for place in places]
    assert len(requests) > 200
    answers = node({"requests": requests})
    allowed = {q["action"] for q, a in zip(requests, answers, strict=True) if a == "Allowed"}
    assert not [a for a in answers if a.startswith("error")]
    # GetCallerIdentity needs no permission at AWS; the simulator knows.
    assert allowed == EXACTLY[role] | {"sts:GetCallerIdentity"}


def test_a_certificate_without_a_host_name_may_write_nowhere():
    nobody = Caller("uploader", tags={})
    places = [OWN, f"{ARN}/backup//x", f"{ARN}/backup/x"]
    assert "Allowed" not in node({"requests": [nobody.request("s3:PutObject", p, NEW) for p in places]})


def test_a_user_with_access_keys_has_the_rights_of_its_host_tag():
    policy = IDENTITIES.resource("UploaderUserPolicy")["PolicyDocument"]
    user = Caller("uploader", policy, f"arn:aws:iam::{ACCOUNT}:user/dbbackup-db1", {"hostname": "db1"})
    asked = [("s3:PutObject", OWN, NEW), ("s3:PutObject", FOREIGN, NEW), ("s3:PutObject", OWN, BLIND),
             ("s3:GetObject", OWN, {}), ("s3:DeleteObject", OWN, {}), ("s3:ListBucket", ARN, BELOW)]
    answers = node({"requests": [user.request(*a) for a in asked]})
    assert [a == "Allowed" for a in answers] == [True, False, False, False, False, False]


def test_a_user_called_pruner_removes_as_the_role_does():
    user = Caller("pruner", arn=f"arn:aws:iam::{ACCOUNT}:user/dbbackup-pruner", tags={})
    assert node({"requests": [user.request("s3:DeleteObjectVersion", OWN, {})]}) == ["Allowed"]


def every_action(service, kinds):
    return [(action["name"], place) for action in node({"actions": service}) for kind in action["kinds"]
            for place in kinds.get(kind, [])]


def changes(service):
    return {a["name"] for a in node({"actions": service}) if not {"Read", "List"} & set(a["access"].split(", "))}


THIEVES = [Caller(f"thief{n}", EVERYTHING, arn, {}) for n, arn in enumerate((
    f"arn:aws:iam::{ACCOUNT}:role/dbbackup-uploader", f"arn:aws:iam::{ACCOUNT}:role/other-administrator",
    f"arn:aws:iam::{ACCOUNT}:user/dbbackup-pruner2"))]


@pytest.mark.parametrize("thief", THIEVES, ids=lambda c: c.arn.rsplit("/")[-1])
def test_whoever_stole_every_right_still_cannot_remove_overwrite_or_change_a_setting(thief):
    """The bucket's and the key's policies hold on their own, whatever the identity's policy says.

    Every action that AWS's service reference knows is tried; those that no job makes, and that S3 will
    learn later, are refused by the policy's NotAction."""
    asked = every_action("s3", {"bucket": [ARN], "object": [OWN]})
    answers = node({"requests": [thief.request(a, place, BLIND if a == "s3:PutObject" else NEW) for a, place in asked]})
    allowed = {a for (a, _), answer in zip(asked, answers, strict=True) if answer == "Allowed"}
    assert allowed & changes("s3") == {"s3:AbortMultipartUpload", "s3:RestoreObject"}
    assert "s3:GetObject" in allowed  # the test can see an allowance
    keys = every_action("kms", {"key": [KEY]})
    answers = node({"requests": [thief.request(a, place, {}) for a, place in keys]})
    allowed = {a for (a, _), answer in zip(keys, answers, strict=True) if answer == "Allowed"}
    assert "kms:Decrypt" in allowed
    assert not allowed & {"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DisableKeyRotation", "kms:PutKeyPolicy",
                          "kms:CreateGrant"}


def test_nothing_but_the_administrator_and_athena_passes_by_the_endpoint():
    thief, away = THIEVES[0], {"aws:SourceVpce": None} | NEW
    asked = every_action("s3", {"bucket": [ARN], "object": [OWN]})
    assert "Allowed" not in node({"requests": [thief.request(a, place, away) for a, place in asked]})
    athena = away | {"aws:CalledVia": ["athena.amazonaws.com"]}
    policy = templates(AthenaReads="yes")[0].resource("BucketPolicy")["PolicyDocument"]
    for caller in (thief, Caller("administrator", EVERYTHING, ADMIN)):
        answers = node({"requests": [caller.request(a, p, athena, bucket_policy=policy) for a, p in asked]})
        allowed = {a for (a, _), answer in zip(asked, answers, strict=True) if answer == "Allowed"}
        assert allowed == {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}
    # One that only calls itself Athena's way, without Athena.
    other = away | {"aws:CalledVia": ["cloudformation.amazonaws.com"]}
    assert node({"requests": [thief.request("s3:GetObject", OWN, other, bucket_policy=policy)]}) != ["Allowed"]


def test_the_access_logs_can_be_removed_or_forged_by_nobody_but_the_administrator():
    logs = f"{ARN}-logs"
    policy = Template("bucket", attributes={"Bucket": BUCKET, "LogBucket.Arn": logs}, BucketName=BUCKET,
                      VpcEndpointId=ENDPOINT, AdministratorArn=ADMIN).resource("LogBucketPolicy")["PolicyDocument"]
    human = {"aws:SourceVpce": None, "aws:PrincipalIsAWSService": "false"}
    asked = every_action("s3", {"bucket": [logs], "object": [f"{logs}/s3-access/2025-08-19"]})
    for caller, may in ((THIEVES[0], set()), (Caller("administrator", EVERYTHING, ADMIN), changes("s3") - {"s3:PutObject"})):
        answers = node({"requests": [caller.request(a, p, human, bucket_policy=policy) for a, p in asked]})
        allowed = {a for (a, _), answer in zip(asked, answers, strict=True) if answer == "Allowed"}
        assert allowed & changes("s3") == may & {a for a, _ in asked}
    delivery = {"principal": "logging.s3.amazonaws.com", "action": "s3:PutObject", "account": ACCOUNT, "identity": [],
                "resource": f"{logs}/s3-access/2025-08-19", "resourcePolicy": policy,
                "context": {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": ARN, "aws:SecureTransport": "true",
                            "aws:PrincipalIsAWSService": "true"}}
    foreign = delivery | {"context": delivery["context"] | {"aws:SourceArn": "arn:aws:s3:::elsewhere"}}
    assert [a == "Allowed" for a in node({"requests": [delivery, foreign]})] == [True, False]


@pytest.mark.parametrize("name, parameter, value", [
    ("bucket", "AdministratorArn", f"arn:aws:iam::{ACCOUNT}:role/*"),
    ("bucket", "AdministratorArn", f"arn:aws:iam::{ACCOUNT}:role/admin?strator"),
    ("bucket", "AdministratorArn", f"arn:aws:sts::{ACCOUNT}:assumed-role/administrator/me"),
    ("bucket", "AdministratorArn", ""),
    ("bucket", "VpcEndpointId", "vpce-*"),
    ("bucket", "RolePrefix", "*"),
    ("identities", "OperatorArn", "*"),
    ("identities", "OperatorArn", f"arn:aws:iam::{ACCOUNT}:role/*"),
    ("identities", "Prefix", "backup/*"),
    ("identities", "Bucket", "*"),
    ("identities", "KmsKeyArn", "*"),
    ("network", "BucketName", "*"),
])
def test_a_parameter_with_a_wildcard_is_refused(name, parameter, value):
    good = {"bucket": {"BucketName": BUCKET, "VpcEndpointId": ENDPOINT, "AdministratorArn": ADMIN},
            "identities": {"Bucket": BUCKET},
            "network": {"CustomerGatewayIp": "203.0.113.10", "OnPremisesCidr": "10.20.0.0/24", "BucketName": BUCKET}}[name]
    Template(name, **good)
    with pytest.raises(ValueError, match=parameter):
        Template(name, **good | {parameter: value})


def test_no_allowance_says_what_it_is_not_or_everything():
    """NotAction, NotResource and NotPrincipal in an Allow give away all that is invented later."""
    documents = {name: r["Properties"]["PolicyDocument"] for name, r in IDENTITIES.body["Resources"].items()
                 if r["Type"] == "AWS::IAM::ManagedPolicy"}
    documents = {name: IDENTITIES.resolve(d) for name, d in documents.items()}
    documents |= {"bucket": BUCKET_POLICY, "key": KEY_POLICY, "endpoint": ENDPOINT_POLICY}
    wide = {"AccountDecidesByIam", "OnlyTheBackupBucketAndOnlyOurAccount"}  # an owner; a road, whose travellers have policies
    for name, document in documents.items():
        for statement in document["Statement"]:
            if statement["Effect"] != "Allow":
                continue
            assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), (name, statement)
            if statement["Sid"] not in wide:
                assert "*" not in "".join(statement["Action"]), (name, statement)
                assert "*" not in (statement["Resource"], statement.get("Principal")), (name, statement)
    assert not [s for s in BUCKET_POLICY["Statement"] if s["Effect"] == "Allow"]  # it gives nobody anything


def test_a_bucket_with_keys_of_s3_takes_no_other_encryption_either():
    plain = Template("bucket", attributes={"Bucket": BUCKET, "Bucket.Arn": ARN}, BucketName=BUCKET, VpcEndpointId=ENDPOINT,
                     AdministratorArn=ADMIN, Encryption="S3").resource("BucketPolicy")["PolicyDocument"]
    headers = [{}, {SSE: "AES256"}, {SSE: "aws:kms"}, {SSE: "aws:kms:dsse"},
               {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": OTHER_KEY}, {f"{SSE}-customer-algorithm": "AES256"}]
    asked = [Caller("uploader").request("s3:PutObject", OWN, NEW | h, bucket_policy=plain) for h in headers]
    assert [a == "Allowed" for a in node({"requests": asked})] == [True, True, False, False, False, False]


def test_what_guards_the_backups_outlives_its_stack():
    for logical in ("Bucket", "BucketPolicy", "Key", "LogBucket", "LogBucketPolicy"):
        resource = BUCKET_T.body["Resources"][logical]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain"), logical


def test_the_uploader_cannot_overwrite_in_a_bucket_without_our_policy():
    bare = [Caller("uploader").request("s3:PutObject", OWN, c, bucket_policy=None) for c in (NEW, PART, BLIND)]
    assert [a == "Allowed" for a in node({"requests": bare})] == [True, True, False]


def test_athena_reads_for_those_who_may_read_only_when_switched_on():
    policy = templates(AthenaReads="yes")[0].resource("BucketPolicy")["PolicyDocument"]
    via = {"aws:SourceVpce": None, "aws:CalledVia": ["athena.amazonaws.com"]}
    direct = {"aws:SourceVpce": None}
    asked = [Caller(role).request("s3:GetObject", RUN, c, bucket_policy=policy)
             for role in ("auditor", "uploader") for c in (via, direct)]
    assert [a == "Allowed" for a in node({"requests": asked})] == [True, False, False, False]


@pytest.mark.parametrize("role", ROLES)
def test_a_certificate_opens_the_role_that_its_ou_names_and_no_other(role):
    trust = IDENTITIES.resource(f"{role.title()}Role")["AssumeRolePolicyDocument"]
    arn = f"arn:aws:iam::{ACCOUNT}:role/dbbackup-{role}"

    def ask(ou, anchor=ANCHOR):
        return {"principal": "rolesanywhere.amazonaws.com", "action": "sts:AssumeRole", "resource": arn,
                "account": ACCOUNT, "identity": [], "resourcePolicy": trust,
                "context": {"aws:SourceArn": anchor, "aws:PrincipalTag/x509Subject/OU": ou}}

    asked = [ask(f"dbbackup-{other}") for other in ROLES] + [ask(f"dbbackup-{role}", ANCHOR + "9")]
    answers = [a == "Allowed" for a in node({"requests": asked})]
    assert answers == [other == role for other in ROLES] + [False]


@pytest.mark.parametrize("role", ROLES)
def test_the_template_says_what_the_policy_file_says(role):
    """policies/<role>.json is the one source: `dbbackup policy` prints it, the template repeats it."""
    text = (DEPLOY / "aws" / "policies" / f"{role}.json").read_text()
    prefix = "backup/${aws:PrincipalTag/x509Subject/CN}/" if role == "uploader" else "backup/*/"
    for name, value in {"Partition": "aws", "Bucket": BUCKET, "Prefix": prefix, "KmsKeyArn": KEY}.items():
        text = text.replace("${" + name + "}", value)
    assert json.loads(text) == identity_policy(role)


def test_without_a_kms_key_no_statement_speaks_of_kms():
    plain = Template("identities", attributes={"TrustAnchor.TrustAnchorArn": ANCHOR},
                     Bucket=BUCKET, Trust="Both", CaCertificate="PEM")
    for role in ROLES:
        assert "kms" not in json.dumps(plain.resource(f"{role.title()}Policy"))


# --- what `dbbackup policy` prints ------------------------------------------------------------------

needs_binary = pytest.mark.skipif("DBBACKUP_BIN" not in os.environ, reason="DBBACKUP_BIN is not set")


def printed(directory, role, *more, prefix="backup/{hostname}"):
    config = directory / "config.toml"
    config.write_text(f'[mysql]\nsource = "/srv/mysql"\n[s3]\nbucket = "{BUCKET}"\nprefix = "{prefix}"\n'
                      'region = "eu-central-1"\n')
    run = subprocess.run([os.environ["DBBACKUP_BIN"], "policy", role, "--config", config, *more],
                         capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@needs_binary
def test_the_printed_policies_allow_each_job_its_calls_and_no_other(tmp_path):
    """The uploader's for its own host, the others' for every host, as the stack makes them."""
    callers = [Caller(role, printed(tmp_path, role, "--kms-key", KEY,
                                    *(["--host", "db1"] if role == "uploader" else ["--any-host"])))
               for role in ROLES]
    asked = [(row, c) for row in TABLE for c in callers]
    answers = node({"requests": [c.request(*row[1:4]) for row, c in asked]})
    wrong = [f"{row[0]} by {c.name}: {answer}" for (row, c), answer in zip(asked, answers, strict=True)
             if (answer == "Allowed") != (INITIAL[c.name] in row[4])]
    assert not wrong


@needs_binary
@pytest.mark.parametrize("role", ROLES)
def test_the_printed_policy_of_one_host_reaches_no_other_and_no_neighbour(tmp_path, role):
    caller = Caller(role, printed(tmp_path, role, "--kms-key", KEY, "--host", "db1"))
    neighbour = OWN.replace("/db1/", "/db10/")
    asked = [(action, place, NEW if action == "s3:PutObject" else {})
             for action in sorted(EXACTLY[role]) for place in (FOREIGN, neighbour)
             if action in ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")]
    asked += [("s3:ListBucket", ARN, {"s3:prefix": f"backup/{host}/"}) for host in ("db2", "db10")]
    assert "Allowed" not in node({"requests": [caller.request(*a) for a in asked]})


@needs_binary
def test_a_star_in_the_prefix_opens_no_other_folder(tmp_path):
    caller = Caller("restorer", printed(tmp_path, "restorer", "--kms-key", KEY, prefix="b*p"))
    asked = [("s3:GetObject", f"{ARN}/b*p/x", {}), ("s3:GetObject", f"{ARN}/backup/x", {})]
    assert [a == "Allowed" for a in node({"requests": [caller.request(*a) for a in asked]})] == [True, False]
