"""A plain S3 client for the tunnel's tests: `client.py put|get URL FILE`, with retries as a backup has."""

import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

verb, url, path = sys.argv[1:]
s3 = boto3.client(
    "s3", endpoint_url=url, region_name="eu-central-1",
    config=Config(s3={"addressing_style": "path"}, connect_timeout=10, read_timeout=120,
                  retries={"max_attempts": 10, "mode": "standard"}),
)
parts = TransferConfig(multipart_chunksize=8 << 20, max_concurrency=4)
if verb == "put":
    s3.upload_file(path, "example-backup", "backup/db1/mysql/shop/weekly/shop.sql", Config=parts)
else:
    s3.download_file("example-backup", "backup/db1/mysql/shop/weekly/shop.sql", path, Config=parts)
