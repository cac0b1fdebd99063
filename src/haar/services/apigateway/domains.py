"""Custom domain names and their base path mappings."""

import re

from haar.services.apigateway import errors
from haar.services.apigateway.dataplane.domains import MAPPING, NAME, base_of
from haar.services.apigateway.demands import arn, domain_demand, on
from haar.services.apigateway.face import service
from haar.services.apigateway.pages import page
from haar.services.apigateway.patch import Rules, Value, apply, text_or_none
from haar.services.apigateway.policies import escaped, whole_policy
from haar.services.apigateway.records import ACCOUNT, ASSOCIATION, DOMAINS, LIVE, Doc, docs, get_doc, load_api, put_doc
from haar.services.apigateway.tags import check_tags
from haar.services.apigateway.truststores import set_truststore
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction
from haar.wire.errors import ServiceError

MAX_DOMAINS = 120
"""Custom domain names of an account in a region."""
MAX_MAPPINGS = 200
"""Base path mappings of one domain name."""
DOMAIN = "/domainnames/{domainName}"
MAPPINGS = DOMAIN + "/basepathmappings"
REGIONAL_ZONE, EDGE_ZONE = "Z1UJRXOUMOOFQ8", "Z2FDTNDATAQYW2"
HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
BASE = re.compile(r"[A-Za-z0-9$\-_.+!*'()]+")
SLASH = (
    "API Gateway V1 doesn't support the slash character (/) in base path mappings. To create a multi-level base path mapping, use API "
    "Gateway V2."
)
GIVEN = (
    "certificateName",
    "certificateArn",
    "regionalCertificateName",
    "regionalCertificateArn",
    "mutualTlsAuthentication",
    "ownershipVerificationCertificateArn",
    "endpointAccessMode",
    "managementPolicy",
    "policy",
    "tags",
)


def _mode(given: str | None) -> str | None:
    """A routing mode as it is kept: HTTP APIs' word for what REST APIs call base path mappings."""
    return given.replace("BASE_PATH_MAPPING", "API_MAPPING") if given else None


RULES: Rules = {
    "/certificateName": Value(text_or_none),
    "/certificateArn": Value(text_or_none),
    "/regionalCertificateName": Value(text_or_none),
    "/regionalCertificateArn": Value(text_or_none),
    "/routingMode": Value(_mode),
    "/securityPolicy": Value(),
    "/endpointAccessMode": Value(text_or_none),
    "/endpointConfiguration/ipAddressType": Value(),
    "/ownershipVerificationCertificateArn": Value(text_or_none),
    "/mutualTlsAuthentication/truststoreUri": Value(text_or_none),
    "/mutualTlsAuthentication/truststoreVersion": Value(text_or_none),
    "/endpointConfiguration/types/0": Value(at="/kind"),
    "/policy": Value(text_or_none, ("add", "replace", "remove")),
    "/managementPolicy": Value(text_or_none, ("add", "replace", "remove")),
}
MAPPING_RULES: Rules = {"/basePath": Value(), "/restapiId": Value(at="/restApiId"), "/restApiId": Value(), "/stage": Value(text_or_none)}


def no_domain() -> ServiceError:
    return errors.not_found("Invalid domain name identifier specified")


def no_mapping() -> ServiceError:
    return errors.not_found("Invalid base path mapping identifier specified")


def _key(name: str) -> str:
    return name.lower()


async def find(ctx: Context, reader: Reader, name: str, domain_id: str | None = None) -> Doc:
    """The domain name's record; a private one's with its id only. Raises NotFoundException when the caller's region has none such."""
    found = await get_doc(reader, DOMAINS, _key(name), NAME)
    if found is None or found["region"] != ctx.region or found.get("domainNameId") != domain_id:
        raise no_domain()
    return found


async def _named_by(ctx: Context, reader: Reader, input: Input) -> Doc:
    return await find(ctx, reader, input["domainName"], input.get("domainNameId"))


async def leading_to(reader: Reader, region: str, api_id: str, stage: str | None = None) -> list[str]:
    """The domain names of a region with mappings to an API, of this service's or of HTTP and WebSocket APIs'; or to a stage of it."""
    found = []
    for name, _ in await reader.range(DOMAINS, region.encode()):
        mappings = await docs(reader, DOMAINS, name.decode(), MAPPING)
        to = [mapping for mapping in mappings if api_id in (mapping.get("apiId"), mapping.get("restApiId"))]
        if any(stage is None or mapping.get("stage") == stage for mapping in to):
            found.append(name.decode())
    return found


def show(domain: Doc) -> Doc:
    shown = {key: value for key, value in domain.items() if key not in ("region", "truststore")}
    shown |= {member: escaped(domain[member]) for member in ("policy", "managementPolicy") if member in domain}
    if "routingMode" in shown:
        shown["routingMode"] = shown["routingMode"].replace("API_MAPPING", "BASE_PATH_MAPPING")
    return shown


def _named(ctx: Context, domain: Doc) -> Doc:
    """The domain with what follows from its endpoint's type."""
    kinds = domain["endpointConfiguration"]["types"]
    if kinds == ["PRIVATE"]:
        return domain
    edge = kinds == ["EDGE"]
    name = ctx.host.ids.text(10)
    if edge and "distributionDomainName" not in domain:
        domain |= {"distributionDomainName": f"d{name}.cloudfront.net", "distributionHostedZoneId": EDGE_ZONE}
    if not edge and "regionalDomainName" not in domain:
        domain |= {"regionalDomainName": f"d-{name}.execute-api.{ctx.region}.amazonaws.com", "regionalHostedZoneId": REGIONAL_ZONE}
    return domain


def _check_policies(ctx: Context, domain: Doc) -> None:
    """Brings the policies into the form that is kept. Raises BadRequestException."""
    for member in ("policy", "managementPolicy"):
        if member not in domain:
            continue
        if domain["endpointConfiguration"]["types"] != ["PRIVATE"]:
            raise errors.bad_request("Resource policies are only supported for private custom domain names")
        if member == "policy":
            domain[member] = whole_policy(ctx, domain["domainNameArn"].split(":", 5)[5], domain[member])


POLICY_DEMANDS = domain_demand("UpdateDomainNamePolicy", "policy"), domain_demand("UpdateDomainNameManagementPolicy", "managementPolicy")


@service.operation("CreateDomainName", on("POST", "/domainnames", *POLICY_DEMANDS))
async def create_domain_name(ctx: Context, input: Input) -> Output:
    name = input["domainName"]
    if not HOST.fullmatch(name):
        raise errors.bad_request(f"Invalid domain name: {name}")
    endpoint = dict(input.get("endpointConfiguration") or {})
    types = endpoint.get("types") or ["EDGE"]
    if len(types) > 1:
        raise errors.bad_request("Cannot create a domain name with multiple Endpoint Types.")
    check_tags(input.get("tags", {}))
    domain: Doc = {
        "domainName": name,
        "domainNameArn": arn(ctx.region, f"/domainnames/{name}"),
        "region": ctx.region,
        "endpointConfiguration": {"ipAddressType": "dualstack" if types == ["PRIVATE"] else "ipv4"} | endpoint | {"types": types},
        "domainNameStatus": "AVAILABLE",
        "routingMode": _mode(input.get("routingMode")) or "API_MAPPING_ONLY",
        "securityPolicy": input.get("securityPolicy", "TLS_1_2"),
    }
    domain |= {member: input[member] for member in GIVEN if input.get(member)}
    if types == ["PRIVATE"]:
        domain["domainNameId"] = ctx.host.ids.text(10)
        domain["domainNameArn"] = f"arn:aws:apigateway:{ctx.region}:{ctx.account}:/domainnames/{name}+{domain['domainNameId']}"
    _check_policies(ctx, domain)
    domain = _named(ctx, domain)
    set_truststore(ctx.host, domain)

    async def run(tx: Transaction) -> None:
        if await get_doc(tx, DOMAINS, _key(name), NAME) is not None:
            raise errors.bad_request("The domain name you provided already exists.")
        if len(await tx.range(DOMAINS, ctx.region.encode(), limit=MAX_DOMAINS)) >= MAX_DOMAINS:
            raise errors.limit_exceeded("Maximum number of domain names has been reached")
        put_doc(tx, DOMAINS, _key(name), NAME, domain)
        tx.put(DOMAINS, ctx.region.encode(), _key(name).encode(), b"")

    await ctx.store.transact(run)
    return show(domain)


@service.operation("GetDomainName", on("GET", DOMAIN))
async def get_domain_name(ctx: Context, input: Input) -> Output:
    return show(await _named_by(ctx, ctx.store, input))


@service.operation("GetDomainNames", on("GET", "/domainnames"))
async def get_domain_names(ctx: Context, input: Input) -> Output:
    if input.get("resourceOwner") == "OTHER_ACCOUNTS":
        return {"items": []}
    names = [sort.decode() for sort, _ in await ctx.store.range(DOMAINS, ctx.region.encode())]
    found = [domain for name in names if (domain := await get_doc(ctx.store, DOMAINS, name, NAME)) is not None]
    return page([show(one) for one in found], input, lambda one: _key(one["domainName"]))


@service.operation("UpdateDomainName", on("PATCH", DOMAIN, *POLICY_DEMANDS))
async def update_domain_name(ctx: Context, input: Input) -> Output:
    operations = [
        operation | {"path": "/endpointConfiguration/types/0"}
        if str(operation.get("path", "")).startswith("/endpointConfiguration/types/")
        else operation
        for operation in input.get("patchOperations", [])
    ]

    async def run(tx: Transaction) -> Doc:
        domain = apply(await _named_by(ctx, tx, input), operations, RULES)
        kind = domain.pop("kind", None)
        if kind is not None:
            if kind not in ("EDGE", "REGIONAL", "PRIVATE"):
                raise errors.bad_request("Invalid EndpointTypes specified. Valid options are REGIONAL,EDGE,PRIVATE")
            if (kind == "PRIVATE") != ("domainNameId" in domain):
                raise errors.bad_request("The endpoint type of a private custom domain name cannot be changed")
            domain["endpointConfiguration"]["types"] = [kind]
        if any(one.get("path") in ("/policy", "/managementPolicy") for one in operations):
            _check_policies(ctx, domain)
        domain = _named(ctx, domain)
        if any(str(one.get("path", "")).startswith("/mutualTlsAuthentication/") for one in operations):
            set_truststore(ctx.host, domain)
        put_doc(tx, DOMAINS, _key(domain["domainName"]), NAME, domain)
        return domain

    return show(await ctx.store.transact(run))


@service.operation("DeleteDomainName", on("DELETE", DOMAIN))
async def delete_domain_name(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> None:
        domain = await _named_by(ctx, tx, input)
        key = _key(domain["domainName"]).encode()
        for sort, _ in await tx.range(DOMAINS, key):
            tx.delete(DOMAINS, key, sort)
        tx.delete(DOMAINS, ctx.region.encode(), key)
        for association in await docs(tx, ACCOUNT, ctx.region, ASSOCIATION):
            if association["domainNameArn"] == domain["domainNameArn"]:
                tx.delete(ACCOUNT, ctx.region.encode(), (ASSOCIATION + association["domainNameAccessAssociationArn"]).encode())

    await ctx.store.transact(run)
    return {}


async def _check(ctx: Context, tx: Transaction, mapping: Doc) -> None:
    base = mapping["basePath"]
    if "/" in base:
        raise errors.bad_request(SLASH)
    if base and not BASE.fullmatch(base):
        raise errors.bad_request("Invalid base path specified. Base paths may only contain letters, numbers and one of $-_.+!*'()")
    if await load_api(tx, mapping["restApiId"], ctx.region) is None:
        raise errors.bad_request("Invalid REST API identifier specified")
    stage = mapping.get("stage")
    if stage and await get_doc(tx, LIVE, mapping["restApiId"], f"stage/{stage}") is None:
        raise errors.bad_request("Invalid stage identifier specified")


def _shown(mapping: Doc) -> Doc:
    return mapping | {"basePath": mapping["basePath"] or "(none)"}


@service.operation("CreateBasePathMapping", on("POST", MAPPINGS))
async def create_base_path_mapping(ctx: Context, input: Input) -> Output:
    mapping: Doc = {"basePath": base_of(input.get("basePath") or ""), "restApiId": input["restApiId"]}
    if input.get("stage"):
        mapping["stage"] = input["stage"]

    async def run(tx: Transaction) -> None:
        key = _key((await _named_by(ctx, tx, input))["domainName"])
        await _check(ctx, tx, mapping)
        if await get_doc(tx, DOMAINS, key, MAPPING + mapping["basePath"]) is not None:
            raise errors.conflict("Base path already exists for this domain name")
        if len(await docs(tx, DOMAINS, key, MAPPING)) >= MAX_MAPPINGS:
            raise errors.limit_exceeded("Maximum number of base path mappings has been reached")
        put_doc(tx, DOMAINS, key, MAPPING + mapping["basePath"], mapping)

    await ctx.store.transact(run)
    return _shown(mapping)


async def _mapping(ctx: Context, reader: Reader, input: Input) -> tuple[str, Doc]:
    key = _key((await _named_by(ctx, reader, input))["domainName"])
    found = await get_doc(reader, DOMAINS, key, MAPPING + base_of(input["basePath"]))
    if found is None:
        raise no_mapping()
    return key, found


@service.operation("GetBasePathMapping", on("GET", MAPPINGS + "/{basePath}"))
async def get_base_path_mapping(ctx: Context, input: Input) -> Output:
    return _shown((await _mapping(ctx, ctx.store, input))[1])


@service.operation("GetBasePathMappings", on("GET", MAPPINGS))
async def get_base_path_mappings(ctx: Context, input: Input) -> Output:
    key = _key((await _named_by(ctx, ctx.store, input))["domainName"])
    found = await docs(ctx.store, DOMAINS, key, MAPPING)
    return page([_shown(one) for one in found if "restApiId" in one], input, lambda one: str(one["basePath"]))


@service.operation("UpdateBasePathMapping", on("PATCH", MAPPINGS + "/{basePath}"))
async def update_base_path_mapping(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> Doc:
        key, old = await _mapping(ctx, tx, input)
        mapping = apply(old, input.get("patchOperations", []), MAPPING_RULES)
        mapping["basePath"] = base_of(mapping.get("basePath") or "")
        await _check(ctx, tx, mapping)
        if mapping["basePath"] != old["basePath"] and await get_doc(tx, DOMAINS, key, MAPPING + mapping["basePath"]) is not None:
            raise errors.conflict("Base path already exists for this domain name")
        tx.delete(DOMAINS, key.encode(), (MAPPING + old["basePath"]).encode())
        put_doc(tx, DOMAINS, key, MAPPING + mapping["basePath"], mapping)
        return mapping

    return _shown(await ctx.store.transact(run))


@service.operation("DeleteBasePathMapping", on("DELETE", MAPPINGS + "/{basePath}"))
async def delete_base_path_mapping(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> None:
        key, old = await _mapping(ctx, tx, input)
        tx.delete(DOMAINS, key.encode(), (MAPPING + old["basePath"]).encode())

    await ctx.store.transact(run)
    return {}
