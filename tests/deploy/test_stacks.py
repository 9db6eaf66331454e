"""The templates: linted, scanned, and created on an emulator as far as it knows their resources."""

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from cfn import ACCOUNT, DEPLOY, Template

BIN = Path(sys.executable).parent
TEMPLATES = sorted((DEPLOY / "aws").glob("*.yaml"))
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/administrator"


def test_cfn_lint_has_nothing_to_say():
    run = subprocess.run([BIN / "cfn-lint", "--include-checks", "W", "--", *TEMPLATES],
                         capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, ""), run.stdout


@pytest.mark.skipif("DEPLOY_CHECKOV" not in os.environ, reason="checkov is not installed")
def test_checkov_finds_nothing_but_what_the_templates_explain():
    run = subprocess.run([os.environ["DEPLOY_CHECKOV"], "-d", DEPLOY / "aws", "--framework", "cloudformation",
                          "--skip-download", "-o", "json"], capture_output=True, text=True, check=False)
    report = json.loads(run.stdout)
    assert report["summary"]["passed"] > 40
    assert [c["check_id"] + " " + c["resource"] for c in report["results"]["failed_checks"]] == []


@pytest.fixture
def aws(monkeypatch):
    for name, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                        "AWS_DEFAULT_REGION": "eu-central-1", "MOTO_ACCOUNT_ID": ACCOUNT}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield boto3


def create(name, **parameters):
    """Creates a stack; says which resources the emulator does not know; returns outputs and resources."""
    cloud = boto3.client("cloudformation")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        cloud.create_stack(StackName=name, TemplateBody=(DEPLOY / "aws" / f"{name}.yaml").read_text(),
                           Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
                           Capabilities=["CAPABILITY_NAMED_IAM"])
    unknown = sorted(set(re.findall(r"AWS::\w+::\w+", " ".join(str(w.message) for w in said))))
    print(f"not tested, unknown to moto: {', '.join(unknown) or 'nothing'}")
    stack, = cloud.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    resources = cloud.list_stack_resources(StackName=name)["StackResourceSummaries"]
    return ({o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])},
            {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources if r.get("LogicalResourceId")})


def test_the_bucket_stack_makes_a_locked_down_bucket(aws):
    outputs, _ = create("bucket", BucketName="example-backup", VpcEndpointId="vpce-0a1b2c3d", AdministratorArn=ADMIN,
                        ObjectLockMode="GOVERNANCE", CategoryTags="yes")
    s3, name = aws.client("s3"), outputs["Bucket"]
    rule, = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms", "KMSMasterKeyID": outputs["KmsKeyArn"]}
    # The emulator's CloudFormation passes over the rest: give its S3 the template's own.
    template = Template("bucket", attributes={"Bucket": name, "Bucket.Arn": f"arn:aws:s3:::{name}",
                                              "Key.Arn": outputs["KmsKeyArn"]},
                        BucketName=name, VpcEndpointId="vpce-0a1b2c3d", AdministratorArn=ADMIN,
                        ObjectLockMode="GOVERNANCE", CategoryTags="yes")
    bucket = template.resource("Bucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 7}
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert rules["daily"]["ExpirationInDays"] == 7
    assert rules["weekly"]["Transitions"][0]["StorageClass"] == "STANDARD_IA"
    assert rules["monthly"]["Transitions"][0]["StorageClass"] == "GLACIER_IR"
    assert "discard-incomplete-uploads" in rules
    policy = template.resource("BucketPolicy")["PolicyDocument"]
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]) == policy
    assert len(json.dumps(policy)) < 20 * 1024  # S3's limit


def test_the_network_stack_lets_only_strong_tunnels_and_only_the_servers_in(aws):
    _, resources = create("network", CustomerGatewayIp="203.0.113.10", OnPremisesCidr="10.20.0.0/24",
                                BucketName="example-backup")
    ec2 = aws.client("ec2")
    endpoint, = ec2.describe_vpc_endpoints(VpcEndpointIds=[resources["S3Endpoint"]])["VpcEndpoints"]
    assert endpoint["VpcEndpointType"] == "Interface" and endpoint["ServiceName"].endswith(".s3")
    assert len(endpoint["SubnetIds"]) == 2
    group, = ec2.describe_security_groups(GroupIds=[resources["EndpointSecurityGroup"]])["SecurityGroups"]
    assert [(p["FromPort"], p["ToPort"], [r["CidrIp"] for r in p["IpRanges"]]) for p in group["IpPermissions"]] == [
        (443, 443, ["10.20.0.0/24"])]
    # moto knows no tunnel options: read them from the template.
    network = Template("network", CustomerGatewayIp="203.0.113.10", OnPremisesCidr="10.20.0.0/24", BucketName="b" * 9)
    vpn = network.resource("VpnConnection")
    assert len(vpn["VpnTunnelOptionsSpecifications"]) == 2
    for tunnel in vpn["VpnTunnelOptionsSpecifications"]:
        def of(name):
            return {v["Value"] for v in tunnel[name]}
        assert of("IKEVersions") == {"ikev2"}
        for phase in "12":
            assert of(f"Phase{phase}EncryptionAlgorithms") <= {"AES256", "AES256-GCM-16"}
            assert of(f"Phase{phase}IntegrityAlgorithms") <= {"SHA2-256", "SHA2-384", "SHA2-512"}
            assert of(f"Phase{phase}DHGroupNumbers") <= {14, 15, 16, 17, 18, 19, 20, 21}
        assert tunnel["StartupAction"] == "start" and tunnel["DPDTimeoutAction"] == "restart"
        assert tunnel["LogOptions"]["CloudwatchLogOptions"]["LogEnabled"] is True


def test_the_endpoint_url_is_the_one_that_the_sdk_takes():
    network = Template("network", attributes={"S3Endpoint.DnsEntries": [
        "Z123:*.vpce-0a1b-2c3d.s3.eu-central-1.vpce.amazonaws.com", "Z123:*.vpce-0a1b-2c3d-eu-central-1a.s3..."]},
        CustomerGatewayIp="203.0.113.10", OnPremisesCidr="10.20.0.0/24", BucketName="example-backup")
    assert network.output("EndpointUrl") == "https://bucket.vpce-0a1b-2c3d.s3.eu-central-1.vpce.amazonaws.com"


def test_iam_takes_every_policy_of_the_identities_stack(aws):
    """Given to the emulator's IAM one by one: its CloudFormation knows neither Roles Anywhere nor groups."""
    template = Template("identities", attributes={"TrustAnchor.TrustAnchorArn": f"arn:aws:rolesanywhere:eu-central-1:"
                                                  f"{ACCOUNT}:trust-anchor/11111111-2222-3333-4444-555555555555"},
                        Bucket="example-backup", Trust="Both", CaCertificate="PEM", OperatorArn=ADMIN,
                        KmsKeyArn=f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555")
    iam = aws.client("iam")
    logical = [n for n, r in template.body["Resources"].items() if r["Type"] == "AWS::IAM::ManagedPolicy"]
    assert len(logical) == 5
    for name in logical:
        document = json.dumps(template.resource(name)["PolicyDocument"])
        iam.create_policy(PolicyName=name, PolicyDocument=document)
        assert len(document) < 6144  # IAM's limit
    for role in ("Uploader", "Restorer", "Auditor", "Pruner"):
        made = template.resource(f"{role}Role")
        iam.create_role(RoleName=made["RoleName"], MaxSessionDuration=made["MaxSessionDuration"],
                        AssumeRolePolicyDocument=json.dumps(made["AssumeRolePolicyDocument"]))


def test_the_three_stacks_fit_each_other():
    """What one stack's output is called, the next one's parameter takes."""
    outputs = {k for name in ("network", "bucket", "identities") for k in Template(
        name, **{"network": {"CustomerGatewayIp": "203.0.113.10", "OnPremisesCidr": "10.20.0.0/24",
                             "BucketName": "example-backup"},
                 "bucket": {"BucketName": "example-backup", "VpcEndpointId": "vpce-0a1b", "AdministratorArn": ADMIN},
                 "identities": {"Bucket": "example-backup"}}[name]).body["Outputs"]}
    text = (DEPLOY / "aws/README.md").read_text() + (DEPLOY / "strongswan/README.md").read_text()
    for name in ("EndpointId", "EndpointUrl", "VpnConnectionId", "KmsKeyArn", "UploaderRoleArn"):
        assert name in outputs and name in text
