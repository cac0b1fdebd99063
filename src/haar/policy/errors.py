"""The one error of the policy language."""


class PolicyError(ValueError):
    """A policy document that IAM refuses; `message` is MalformedPolicyDocument's text."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
