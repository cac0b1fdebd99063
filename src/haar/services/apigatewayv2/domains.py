"""Custom domain names, which are the same as REST APIs', and the API mappings of them."""

import hashlib
import re
from typing import Any

from haar.services.apigateway import public as rest
from haar.services.apigateway.public import docs, get_doc, put_doc
from haar.services.apigatewayv2 import errors
from haar.services.apigatewayv2.demands import on
from haar.services.apigatewayv2.face import service
from haar.services.apigatewayv2.pages import of, page
from haar.services.apigatewayv2.records import LIVE, Doc, find_api, no_api
from haar.services.service import Context, Input, Output
from haar.store.contract import Reader, Transaction

MAX_MAPPINGS = 200
DOMAIN = "/domainnames/{DomainName}"
MAPPINGS = DOMAIN + "/apimappings"
ONE = MAPPINGS + "/{ApiMappingId}"
ID_LETTERS = 6
CHANGED = {
    "CertificateArn": "/regionalCertificateArn",
    "CertificateName": "/regionalCertificateName",
    "IpAddressType": "/endpointConfiguration/ipAddressType",
    "OwnershipVerificationCertificateArn": "/ownershipVerificationCertificateArn",
    "SecurityPolicy": "/securityPolicy",
}
"""What of a configuration an update changes, by the paths of REST APIs' patches."""
SELECTION = "$request.basepath"
_KEY = re.compile(r"[A-Za-z0-9$\-_.+!*'()]+(/[A-Za-z0-9$\-_.+!*'()]+)*")


def _shown(domain: Doc) -> Doc:
    """A domain name as this API shows it."""
    edge = domain["endpointConfiguration"]["types"] == ["EDGE"]
    configuration = {
        "ApiGatewayDomainName": domain.get("distributionDomainName" if edge else "regionalDomainName"),
        "CertificateArn": domain.get("certificateArn" if edge else "regionalCertificateArn"),
        "CertificateName": domain.get("certificateName" if edge else "regionalCertificateName"),
        "DomainNameStatus": domain["domainNameStatus"],
        "EndpointType": domain["endpointConfiguration"]["types"][0],
        "HostedZoneId": domain.get("distributionHostedZoneId" if edge else "regionalHostedZoneId"),
        "IpAddressType": domain["endpointConfiguration"].get("ipAddressType", "ipv4"),
        "OwnershipVerificationCertificateArn": domain.get("ownershipVerificationCertificateArn"),
        "SecurityPolicy": domain["securityPolicy"],
    }
    shown: Doc = {
        "ApiMappingSelectionExpression": SELECTION,
        "DomainName": domain["domainName"],
        "DomainNameArn": domain["domainNameArn"],
        "DomainNameConfigurations": [{name: value for name, value in configuration.items() if value is not None}],
        "RoutingMode": domain.get("routingMode", "API_MAPPING_ONLY").replace("BASE_PATH_MAPPING", "API_MAPPING"),
        "Tags": domain.get("tags", {}),
    }
    if trust := domain.get("mutualTlsAuthentication"):
        shown["MutualTlsAuthentication"] = {name[0].upper() + name[1:]: value for name, value in trust.items()}
    return shown


def _configuration(input: Input) -> Doc:
    """The one configuration of an input. Raises BadRequestException when it is not one."""
    given: list[Doc] = input.get("DomainNameConfigurations") or []
    if len(given) != 1:
        raise errors.bad_request("Exactly one domain name configuration must be provided")
    if given[0].get("EndpointType", "REGIONAL") != "REGIONAL":
        raise errors.bad_request("Only REGIONAL endpoint type is supported")
    if not given[0].get("CertificateArn"):
        raise errors.bad_request("CertificateArn is required")
    return given[0]


@service.operation("CreateDomainName", on("POST", "/domainnames"))
async def create_domain_name(ctx: Context, input: Input) -> Output:
    configuration = _configuration(input)
    wanted: Doc = {
        "domainName": input["DomainName"],
        "regionalCertificateArn": configuration["CertificateArn"],
        "regionalCertificateName": configuration.get("CertificateName"),
        "ownershipVerificationCertificateArn": configuration.get("OwnershipVerificationCertificateArn"),
        "endpointConfiguration": {"types": ["REGIONAL"], "ipAddressType": configuration.get("IpAddressType", "ipv4")},
        "routingMode": input.get("RoutingMode", "API_MAPPING_ONLY"),
        "securityPolicy": configuration.get("SecurityPolicy", "TLS_1_2"),
        "tags": input.get("Tags") or {},
    }
    if trust := input.get("MutualTlsAuthentication"):
        wanted["mutualTlsAuthentication"] = {name[0].lower() + name[1:]: value for name, value in trust.items()}
    return _shown(dict(await rest.create_domain_name(ctx, wanted)))


@service.operation("GetDomainName", on("GET", DOMAIN))
async def get_domain_name(ctx: Context, input: Input) -> Output:
    return _shown(await rest.find_domain(ctx, ctx.store, input["DomainName"]))


@service.operation("GetDomainNames", on("GET", "/domainnames"))
async def get_domain_names(ctx: Context, input: Input) -> Output:
    found = await rest.get_domain_names(ctx, {"limit": 500})
    return page([_shown(one) for one in found["items"]], input, of("DomainName"))


@service.operation("UpdateDomainName", on("PATCH", DOMAIN))
async def update_domain_name(ctx: Context, input: Input) -> Output:
    operations: list[Doc] = []
    if input.get("DomainNameConfigurations"):
        configuration = _configuration(input)
        for member, path in CHANGED.items():
            if configuration.get(member):
                operations.append({"op": "replace", "path": path, "value": configuration[member]})
    if input.get("RoutingMode"):
        operations.append({"op": "replace", "path": "/routingMode", "value": input["RoutingMode"]})
    for name, value in (input.get("MutualTlsAuthentication") or {}).items():
        operations.append({"op": "replace", "path": f"/mutualTlsAuthentication/{name[0].lower() + name[1:]}", "value": value})
    changed = await rest.update_domain_name(ctx, {"domainName": input["DomainName"], "patchOperations": operations})
    return _shown(dict(changed))


@service.operation("DeleteDomainName", on("DELETE", DOMAIN))
async def delete_domain_name(ctx: Context, input: Input) -> Output:
    await rest.delete_domain_name(ctx, {"domainName": input["DomainName"]})
    return {}


async def _domain_key(ctx: Context, reader: Reader, input: Input) -> str:
    return str((await rest.find_domain(ctx, reader, input["DomainName"]))["domainName"]).lower()


def _id(mapping: Doc) -> str:
    """A mapping that was made by the other API has none of its own."""
    return str(mapping.get("id") or hashlib.sha256(mapping["basePath"].encode()).hexdigest()[:ID_LETTERS])


def _mapping_shown(mapping: Doc) -> Doc:
    return {
        "ApiId": mapping.get("apiId") or mapping["restApiId"],
        "ApiMappingId": _id(mapping),
        "ApiMappingKey": mapping["basePath"],
        "Stage": mapping.get("stage", ""),
    }


async def _made(ctx: Context, tx: Transaction, mapping_id: str, key: str, api_id: str, stage: str) -> Doc:
    """A mapping as it is kept. Raises unless the API and its stage are there."""
    if key and not _KEY.fullmatch(key):
        raise errors.bad_request("API mapping key should not start with a '/' or have consecutive '/'s.")
    mapping: Doc = {"id": mapping_id, "basePath": key, "apiId": api_id, "stage": stage}
    space = LIVE
    if await find_api(tx, api_id, ctx.region) is None:
        if await rest.load_api(tx, api_id, ctx.region) is None:
            raise no_api(ctx, api_id)
        mapping["restApiId"], space = api_id, rest.LIVE
    if await get_doc(tx, space, api_id, f"stage/{stage}") is None:
        raise errors.bad_request("Invalid stage identifier specified")
    return mapping


@service.operation("CreateApiMapping", on("POST", MAPPINGS))
async def create_api_mapping(ctx: Context, input: Input) -> Output:
    mapping_id, key = ctx.host.ids.text(ID_LETTERS), input.get("ApiMappingKey") or ""

    async def run(tx: Transaction) -> Doc:
        domain = await _domain_key(ctx, tx, input)
        mapping = await _made(ctx, tx, mapping_id, key, input["ApiId"], input["Stage"])
        if await get_doc(tx, rest.DOMAINS, domain, rest.MAPPING + key) is not None:
            raise errors.conflict("ApiMapping key already exists for this domain name")
        if len(await docs(tx, rest.DOMAINS, domain, rest.MAPPING)) >= MAX_MAPPINGS:
            raise errors.too_many("Maximum number of API mappings for this domain name has been reached")
        put_doc(tx, rest.DOMAINS, domain, rest.MAPPING + key, mapping)
        return mapping

    return _mapping_shown(await ctx.store.transact(run))


async def _find(ctx: Context, reader: Reader, input: Input) -> tuple[str, Doc]:
    domain = await _domain_key(ctx, reader, input)
    for mapping in await docs(reader, rest.DOMAINS, domain, rest.MAPPING):
        if _id(mapping) == input["ApiMappingId"]:
            return domain, mapping
    raise errors.not_found("The API mapping that you tried to find does not exist")


@service.operation("GetApiMapping", on("GET", ONE))
async def get_api_mapping(ctx: Context, input: Input) -> Output:
    return _mapping_shown((await _find(ctx, ctx.store, input))[1])


@service.operation("GetApiMappings", on("GET", MAPPINGS))
async def get_api_mappings(ctx: Context, input: Input) -> Output:
    domain = await _domain_key(ctx, ctx.store, input)
    found = [_mapping_shown(one) for one in await docs(ctx.store, rest.DOMAINS, domain, rest.MAPPING)]
    output: dict[str, Any] = page(sorted(found, key=of("ApiMappingId")), input, of("ApiMappingId"))
    return output


@service.operation("UpdateApiMapping", on("PATCH", ONE))
async def update_api_mapping(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> Doc:
        domain, old = await _find(ctx, tx, input)
        key = old["basePath"] if input.get("ApiMappingKey") is None else input["ApiMappingKey"]
        stage = input.get("Stage") or old.get("stage", "")
        mapping = await _made(ctx, tx, _id(old), key, input["ApiId"], stage)
        if key != old["basePath"]:
            if await get_doc(tx, rest.DOMAINS, domain, rest.MAPPING + key) is not None:
                raise errors.conflict("ApiMapping key already exists for this domain name")
            tx.delete(rest.DOMAINS, domain.encode(), (rest.MAPPING + old["basePath"]).encode())
        put_doc(tx, rest.DOMAINS, domain, rest.MAPPING + key, mapping)
        return mapping

    return _mapping_shown(await ctx.store.transact(run))


@service.operation("DeleteApiMapping", on("DELETE", ONE))
async def delete_api_mapping(ctx: Context, input: Input) -> Output:
    async def run(tx: Transaction) -> None:
        domain, mapping = await _find(ctx, tx, input)
        tx.delete(rest.DOMAINS, domain.encode(), (rest.MAPPING + mapping["basePath"]).encode())

    await ctx.store.transact(run)
    return {}
