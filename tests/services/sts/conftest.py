"""What the tests of IAM and STS share."""

from tests.support.users import cleanup, iam, user

__all__ = ["cleanup", "iam", "user"]
