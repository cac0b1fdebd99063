"""The `$context` variables of HTTP APIs. Pure.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
"""

NAMES = frozenset(
    (
        "accountId", "apiId", "awsEndpointRequestId", "awsEndpointRequestId2", "customDomain.basePathMatched", "dataProcessed",
        "domainName", "domainPrefix", "error.message", "error.messageString", "error.responseType", "extendedRequestId", "httpMethod",
        "identity.accountId", "identity.caller", "identity.clientCert.clientCertPem", "identity.clientCert.issuerDN",
        "identity.clientCert.serialNumber", "identity.clientCert.subjectDN", "identity.clientCert.validity.notAfter",
        "identity.clientCert.validity.notBefore", "identity.cognitoAuthenticationProvider", "identity.cognitoAuthenticationType",
        "identity.cognitoIdentityPoolId", "identity.principalOrgId", "identity.sourceIp", "identity.user", "identity.userAgent",
        "identity.userArn", "integration.error", "integration.integrationStatus", "integration.latency", "integration.requestId",
        "integration.status", "integrationErrorMessage", "integrationLatency", "integrationStatus", "path", "protocol", "requestId",
        "requestTime", "requestTimeEpoch", "responseLatency", "responseLength", "routeKey", "stage", "status",
    )
)  # fmt: skip


def known(name: str) -> bool:
    """Whether an access log may tell it; what an authorizer says has names of its own."""
    return name in NAMES or name.startswith("authorizer.")
