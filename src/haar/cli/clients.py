"""AWS clients on the running platform, as root."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from haar.cli.say import complain

READ_SECONDS = 910
"""A function may run for 900."""


def client(described: dict[str, Any], service: str) -> Any:
    import boto3  # takes half a second: only here
    from botocore.config import Config

    session = boto3.Session(described["access_key_id"], described["secret_access_key"], region_name=described["region"])
    settings = Config(retries={"max_attempts": 0}, read_timeout=READ_SECONDS)
    return session.client(service, endpoint_url=described["endpoint"], config=settings)  # type: ignore[call-overload]  # its name is not known here


@contextmanager
def answering(described: dict[str, Any]) -> Iterator[None]:
    """Says in words what AWS answers with an error, and that nothing answers."""
    from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError
    from botocore.exceptions import ConnectionError as NotConnected

    try:
        yield
    except ClientError as error:
        raise complain(f"{error.response['Error']['Code']}: {error.response['Error']['Message']}") from None
    except ParamValidationError as error:
        raise complain(str(error)) from None
    except (HTTPClientError, NotConnected) as error:
        raise complain(f"{described['endpoint']} does not answer ({error}); start the platform first: haar start") from None


def ask(described: dict[str, Any], path: str) -> Any:
    """What haar's own API answers a signed GET; complains of errors."""
    import json
    import urllib.error
    import urllib.request

    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signed = AWSRequest("GET", described["endpoint"] + path)
    keys = Credentials(described["access_key_id"], described["secret_access_key"])
    SigV4Auth(keys, "lambda", described["region"]).add_auth(signed)
    request = urllib.request.Request(described["endpoint"] + path, headers=dict(signed.headers.items()))  # noqa: S310 - our own http URL
    try:
        with urllib.request.urlopen(request, timeout=READ_SECONDS) as answer:  # noqa: S310 - as above
            return json.load(answer)
    except urllib.error.HTTPError as error:
        told = json.load(error)
        raise complain(f"{told.get('code', error.code)}: {told.get('message', '')}") from None
    except urllib.error.URLError as error:
        raise complain(f"{described['endpoint']} does not answer ({error.reason}); start the platform first: haar start") from None
