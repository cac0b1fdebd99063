"""Custom domain names as addresses: the Host header names the domain, the path's beginning the API and its stage."""

import re
from typing import NamedTuple

from haar.services.apigateway.dataplane import rules as rule
from haar.services.apigateway.dataplane.answers import forbidden
from haar.services.apigateway.dataplane.compile import extended_id
from haar.services.apigateway.dataplane.route import Address, api_route, refused_plainly
from haar.services.apigateway.records import DOMAINS, Doc, docs, get_doc
from haar.services.service import Host
from haar.store.cache import Cached
from haar.wire.http import Request, Response

MAX_HOSTS = 2000
"""Values of Host headers whose domain is remembered, also those that have none."""
NAME = "name"
MAPPING = "mapping/"
RULE = "rule/"
_NUMERIC = re.compile(r"[0-9.]+|\[.*")


class Domain(NamedTuple):
    name: str
    region: str
    mappings: tuple[Doc, ...]
    """The longest base path first."""
    rules: tuple[Doc, ...]
    """In the order of their priorities."""
    mode: str
    trusted: str | None
    """The certificates (PEM) of which one must vouch for clients; empty lets nobody in, None is no mutual TLS."""


def base_of(given: str) -> str:
    """A base path as it is kept; `(none)` is the empty one."""
    return "" if given == "(none)" else given.strip("/")


class Domains:
    """The custom domains of a host, by the Host header that reaches them."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: Cached[Domain | bool] = Cached(host.store, (DOMAINS,), self._load, MAX_HOSTS)

    async def find(self, name: str) -> Domain | None:
        found = self._known.peek(name)
        if found is None:
            found = await self._known.get(name)
        return found if isinstance(found, Domain) else None

    async def _load(self, name: str) -> Domain | bool:
        """A domain of this very name comes before a wildcard's."""
        for key in (name, "*." + name.partition(".")[2]):
            kept = await get_doc(self._host.store, DOMAINS, key, NAME)
            if kept is not None:
                if kept["endpointConfiguration"]["types"] == ["PRIVATE"]:  # haar has no VPC from which it could be reached
                    return Domain(kept["domainName"], kept["region"], (), (), rule.MODES[0], None)
                mappings = await docs(self._host.store, DOMAINS, key, MAPPING)
                mappings.sort(key=lambda one: len(one["basePath"]), reverse=True)
                rules = sorted(await docs(self._host.store, DOMAINS, key, RULE), key=lambda one: int(one["Priority"]))
                mode = kept.get("routingMode", rule.MODES[0])
                return Domain(kept["domainName"], kept["region"], tuple(mappings), tuple(rules), mode, _trusted(kept))
        return False


def _trusted(domain: Doc) -> str | None:
    return domain.get("truststore", "") if "mutualTlsAuthentication" in domain else None


async def truststore(host: Host, name: str) -> str | None:
    """The certificates (PEM) that the custom domain of a host name asks its clients to be vouched for by; None when it asks for none."""
    found = await host.get(Domains).find(name) if "." in name else None
    return found.trusted if found is not None else None


def _host_of(request: Request) -> str:
    host = request.headers.get("host", "").lower()
    return host if host.startswith("[") else host.partition(":")[0]


class DomainRoute:
    """Serves what comes in by a custom domain name, and nothing else: any other Host is left to those who come after."""

    def matches(self, request: Request) -> bool:
        host, signed = _host_of(request), request.headers.get("authorization", "")
        if signed.startswith("AWS4-") and "/execute-api/" not in signed:
            return False  # a call of AWS's API, whatever domain somebody has made
        return "." in host and ".execute-api." not in host and not _NUMERIC.fullmatch(host)

    async def serve(self, host: Host, request: Request, request_id: str) -> Response | None:
        name = _host_of(request)
        domain = await host.get(Domains).find(name)
        if domain is None:
            return None
        address = _by_rule(domain, name, request) or _address(domain, name, request.path)
        shown = request.certificate
        # Certificates are asked for by the name in TLS, which need not be the one in Host.
        known = domain.trusted is None or (shown is not None and shown.trusted == domain.trusted)
        if address is None or not known:
            identifiers = [("x-amzn-RequestId", request_id), ("x-amz-apigw-id", extended_id(host))]
            return refused_plainly(forbidden(), identifiers)
        return await api_route.serve_at(host, request, request_id, address)


def _by_rule(domain: Domain, name: str, request: Request) -> Address | None:
    """The API that a routing rule of the domain leads to."""
    if domain.mode == rule.MODES[0]:
        return None
    found = rule.match(domain.rules, request.path, request.headers)
    if found is None:
        return None
    whole = found.rest if found.stage == "$default" else f"/{found.stage}{found.rest}"
    return Address(found.api_id, found.stage, found.rest, domain.region, name, whole, found.base_path)


def _address(domain: Domain, name: str, path: str) -> Address | None:
    """The API, stage and path behind a domain; None when no base path is the path's beginning."""
    for mapping in domain.mappings if domain.mode != rule.MODES[1] else ():
        base = mapping["basePath"]
        if base and path != f"/{base}" and not path.startswith(f"/{base}/"):
            continue
        rest = (path[len(base) + 1 :] if base else path) or "/"
        stage = mapping.get("stage") or ""
        if not stage:
            stage, slash, tail = rest[1:].partition("/")
            rest = slash + tail or "/"
        whole = rest if stage == "$default" else f"/{stage}{rest}"
        return Address(mapping.get("restApiId") or mapping["apiId"], stage, rest, domain.region, name, whole, base)
    return None
