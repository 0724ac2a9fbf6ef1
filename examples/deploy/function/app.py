"""A Lambda function that reads the secret from Secrets Manager, and reads it again."""

import os

import boto3
from botocore.config import Config

from port_webhook import Delivery, VerifierSource
from port_webhook.adapters.aws_lambda import webhook

client = boto3.client(
    "secretsmanager",
    config=Config(connect_timeout=2, read_timeout=2),
)


def read_secret() -> str:
    """Return the current secret of the organisation."""
    found = client.get_secret_value(SecretId=os.environ["PORT_SECRET_ID"])
    return str(found["SecretString"])


source = VerifierSource(read_secret, every=300)


@webhook(choose=source)
def handler(delivery: Delivery, _context: object) -> dict[str, str | None]:
    """Receive what Port sends."""
    return {"run": delivery.run_id}
