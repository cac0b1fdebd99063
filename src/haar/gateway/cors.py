"""Cross-origin requests to AWS's API: a page may call it, since every request is signed."""

from haar.wire.http import Request, Response

EXPOSED = ",".join(
    (
        "x-amzn-RequestId",
        "x-amzn-ErrorType",
        "x-amz-request-id",
        "x-amz-id-2",
        "x-amzn-ErrorMessage",
        "Date",
        "X-Amz-Function-Error",
        "X-Amz-Log-Result",
        "X-Amz-Executed-Version",
    )
)
MAX_AGE_SECONDS = 172_800


def is_preflight(request: Request) -> bool:
    return request.method == "OPTIONS" and "access-control-request-method" in request.headers


def preflight(request: Request) -> Response:
    return Response(
        200,
        [
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Methods", "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS"),
            ("Access-Control-Allow-Headers", request.headers.get("access-control-request-headers", "*")),
            ("Access-Control-Max-Age", str(MAX_AGE_SECONDS)),
        ],
    )


def expose(request: Request, response: Response) -> None:
    response.headers.append(("Access-Control-Allow-Origin", "*"))
    response.headers.append(("Access-Control-Expose-Headers", EXPOSED))
