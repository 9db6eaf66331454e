"""AWS's Common Runtime client for S3, as s3transfer drives it: one file there, or one object back.

  crt.py ENDPOINT put FILE BUCKET KEY
  crt.py ENDPOINT get FILE BUCKET KEY

The certificate bundle is AWS_CA_BUNDLE's. boto3 itself knows no endpoint for this client, s3transfer does.
"""

import os
import sys

import botocore.config
import botocore.session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)


def main(endpoint, verb, file, bucket, key):
    session = botocore.session.get_session()
    region = os.environ["AWS_REGION"]
    client = create_s3_crt_client(
        region=region,
        crt_credentials_provider=BotocoreCRTCredentialsWrapper(
            session.get_credentials()
        ).to_crt_credentials_provider(),
        use_ssl=endpoint.startswith("https"),
        verify=os.environ.get("AWS_CA_BUNDLE"),
    )
    style = botocore.config.Config(s3={"addressing_style": "path"})
    serializer = BotocoreCRTRequestSerializer(
        session, {"region_name": region, "endpoint_url": endpoint, "config": style}
    )
    with CRTTransferManager(client, serializer) as manager:
        if verb == "put":
            manager.upload(file, bucket, key).result()
        else:
            manager.download(bucket, key, file).result()


main(*sys.argv[1:])
