"""Small questions that the cases ask: of the network, of S3 and of dbbackup's JSON."""

import base64
import json
import os
import socket
import sys
import time
import urllib.request


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1])


def wait_http(url, seconds):
    """Exits 0 as soon as the URL answers."""
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{url} did not answer within {seconds} s")


def parts(bucket, key):
    """How many parts the unfinished uploads of the key have."""
    print(count_parts(s3_client(), bucket, key))


def wait_parts(bucket, key, least, seconds):
    """Waits until the unfinished uploads of the key have at least so many parts; prints how many."""
    s3 = s3_client()
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        count = count_parts(s3, bucket, key)
        if count >= int(least):
            print(count)
            return
        time.sleep(0.02)
    sys.exit(f"no upload of {key} with {least} parts was seen within {seconds} s")


def s3_client():
    import boto3

    return boto3.client("s3", endpoint_url=os.environ["ENDPOINT"])


def count_parts(s3, bucket, key):
    count = 0
    for upload in s3.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", []):
        try:
            reply = s3.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            count += len(reply.get("Parts", []))
        except s3.exceptions.ClientError:
            pass  # completed or aborted since it was listed
    return count


def crc64nvme(path):
    """As S3 writes it, by the AWS common runtime."""
    from awscrt.checksums import crc64nvme as update

    value = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            value = update(chunk, value)
    print(base64.b64encode(value.to_bytes(8, "big")).decode())


def sets():
    """`list --json` on stdin: one line a set, tab-separated."""
    for one in json.load(sys.stdin)["sets"]:
        print("\t".join(str(one[name]) for name in ("key", "date", "kind", "files", "size", "proof")))


def unproven():
    """`list --all --json` on stdin: one line an object without a manifest."""
    for one in json.load(sys.stdin)["unproven"]:
        print(one["key"])


def get(*names):
    """The value at that path of the JSON on stdin."""
    value = json.load(sys.stdin)
    for name in names:
        value = value[name]
    print(value)


def check_line(what):
    """`check --json` on stdin: result and words of one line."""
    for line in json.load(sys.stdin)["lines"]:
        if line["what"] == what:
            print(line["outcome"], line["seen"])


def finding(what):
    """A run record on stdin: how bad the open finding of that name is."""
    for one in json.load(sys.stdin)["check_findings"]:
        if one["what"] == what:
            print(one["outcome"])


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
