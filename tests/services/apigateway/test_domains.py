"""Custom domain names: managed, and as addresses of APIs."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.services.apigateway.conftest import Api, refused
from tests.support.platform import RunningPlatform


@pytest.fixture
def domain(platform: RunningPlatform) -> Iterator[str]:
    gateway, name = platform.client("apigateway"), f"api-{uuid.uuid4().hex[:8]}.example.localhost"
    gateway.create_domain_name(domainName=name, endpointConfiguration={"types": ["REGIONAL"]}, tags={"a": "b"})
    yield name
    gateway.delete_domain_name(domainName=name)


def get(api: Api, host: str, path: str, method: str = "GET", **headers: str) -> Any:
    return api.session.request(method, api.platform.endpoint + path, headers={"Host": host} | headers, timeout=30)


def test_a_domain_is_managed(platform: RunningPlatform, domain: str):
    gateway = platform.client("apigateway")
    shown = gateway.get_domain_name(domainName=domain)
    assert shown["domainNameStatus"] == "AVAILABLE" and shown["securityPolicy"] == "TLS_1_2" and shown["tags"] == {"a": "b"}
    assert shown["regionalDomainName"].endswith(".execute-api.us-east-1.amazonaws.com") and shown["regionalHostedZoneId"]
    assert domain in [one["domainName"] for one in gateway.get_domain_names(limit=500)["items"]]
    assert refused(gateway.create_domain_name, domainName=domain)[1] == "The domain name you provided already exists."
    patch = [{"op": "replace", "path": "/endpointConfiguration/types/REGIONAL", "value": "EDGE"}]
    assert gateway.update_domain_name(domainName=domain, patchOperations=patch)["distributionDomainName"].endswith(".cloudfront.net")
    missing = ("NotFoundException", "Invalid domain name identifier specified", 404)
    assert refused(gateway.get_domain_name, domainName="gone.example.com") == missing
    assert refused(platform.client("apigateway", region="eu-west-1").get_domain_name, domainName=domain) == missing


def test_base_paths_lead_to_apis(api: Api, make_api: Callable[..., Api], domain: str):
    other = make_api()
    where = '{"path": "$context.path", "domain": "$context.domainName", "stage": "$context.stage", '
    where += '"base": "$context.customDomain.basePathMatched"}'
    api.mock("/pets/{id}", "GET", where)
    other.mock("/pets/{id}", "GET", '{"other": true}')
    api.deploy("v1")
    other.deploy("v2")
    gateway = api.gateway
    assert get(api, domain, "/pets/1").status_code == 403
    assert gateway.create_base_path_mapping(domainName=domain, restApiId=api.id, stage="v1", basePath="shop")["basePath"] == "shop"
    gateway.create_base_path_mapping(domainName=domain, restApiId=other.id)
    answer = get(api, domain, "/shop/pets/1")
    assert answer.json() == {"path": "/shop/pets/1", "domain": domain, "stage": "v1", "base": "shop"}
    assert get(api, f"{domain}:4566", "/shop/pets/1").status_code == 200
    assert get(api, domain, "/v2/pets/1").json() == {"other": True}
    assert get(api, domain, "/shopping/pets/1").status_code == 403
    listed = gateway.get_base_path_mappings(domainName=domain)["items"]
    assert {one["basePath"] for one in listed} == {"shop", "(none)"}
    moved = [{"op": "replace", "path": "/basePath", "value": "store"}]
    gateway.update_base_path_mapping(domainName=domain, basePath="shop", patchOperations=moved)
    assert get(api, domain, "/store/pets/1").json()["base"] == "store" and get(api, domain, "/shop/pets/1").status_code == 403
    gateway.delete_base_path_mapping(domainName=domain, basePath="(none)")
    assert get(api, domain, "/v2/pets/1").status_code == 403
    said = f"Deleting RestApi {api.id} failed. Please remove all base path mappings related to the RestApi in your domains: {domain}"
    assert refused(gateway.delete_rest_api, restApiId=api.id) == ("BadRequestException", said, 400)


def test_the_own_address_may_be_closed(api: Api, domain: str):
    api.mock("/")
    api.gateway.update_rest_api(
        restApiId=api.id, patchOperations=[{"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"}]
    )
    api.deploy("v1")
    api.gateway.create_base_path_mapping(domainName=domain, restApiId=api.id, stage="v1")
    assert api.call("/").status_code == 403 and get(api, domain, "/").status_code == 200


def test_a_wildcard(api: Api, platform: RunningPlatform):
    base = f"{uuid.uuid4().hex[:8]}.example.com"
    api.mock("/")
    api.deploy()
    api.gateway.create_domain_name(domainName=f"*.{base}")
    api.gateway.create_base_path_mapping(domainName=f"*.{base}", restApiId=api.id, stage="v1")
    assert get(api, f"any.{base}", "/").status_code == 200 and "haar" in get(api, f"a.b.{base}", "/").text
    api.gateway.delete_domain_name(domainName=f"*.{base}")
    assert get(api, f"any.{base}", "/").json().get("haar")


def test_other_hosts_still_reach_aws_apis(platform: RunningPlatform, api: Api):
    answer = get(api, "haar.internal.example", "/restapis")
    assert answer.status_code == 403 and "Missing Authentication Token" in answer.text


def test_a_domain_never_takes_the_calls_of_aws_apis(api: Api, domain: str, platform: RunningPlatform):
    """Who names a domain as the platform itself is called must not get requests that are signed for a service."""
    api.mock("/restapis/{proxy+}", "ANY")
    api.mock("/restapis", "GET", '{"taken": true}')
    api.deploy()
    api.gateway.create_base_path_mapping(domainName=domain, restApiId=api.id, stage="v1")
    assert get(api, domain, "/restapis").json() == {"taken": True}
    signed = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/apigateway/aws4_request, SignedHeaders=host, Signature=0"
    assert "taken" not in get(api, domain, "/restapis", Authorization=signed).text


def test_what_a_mapping_cannot_be(api: Api, domain: str):
    api.mock("/")
    api.deploy()
    make = api.gateway.create_base_path_mapping
    api.gateway.create_base_path_mapping(domainName=domain, restApiId=api.id, stage="v1", basePath="a")
    again = refused(make, domainName=domain, restApiId=api.id, stage="v1", basePath="a")
    assert again == ("ConflictException", "Base path already exists for this domain name", 409)
    assert refused(make, domainName=domain, restApiId="none")[1] == "Invalid REST API identifier specified"
    assert refused(make, domainName=domain, restApiId=api.id, stage="none")[1] == "Invalid stage identifier specified"
    assert "doesn't support the slash character" in refused(make, domainName=domain, restApiId=api.id, basePath="a/b")[1]
    gone = refused(api.gateway.get_base_path_mapping, domainName=domain, basePath="none")
    assert gone == ("NotFoundException", "Invalid base path mapping identifier specified", 404)


def test_private_domain_names_are_known_by_their_id(platform: RunningPlatform, name: str, api: Api) -> None:
    gateway, host = platform.client("apigateway"), f"{name}.private.example.com"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    made = gateway.create_domain_name(
        domainName=host, certificateArn="arn:aws:acm:x", endpointConfiguration={"types": ["PRIVATE"]}, policy=json.dumps(policy)
    )
    one = {"domainName": host, "domainNameId": made["domainNameId"]}
    assert made["domainNameArn"] == f"arn:aws:apigateway:us-east-1:{platform.account}:/domainnames/{host}+{made['domainNameId']}"
    assert made["endpointConfiguration"] == {"types": ["PRIVATE"], "ipAddressType": "dualstack"} and "regionalDomainName" not in made
    assert f"execute-api:us-east-1:{platform.account}:\\/domainnames\\/{host}+{made['domainNameId']}\\/*" in made["policy"]
    assert gateway.get_domain_name(**one)["domainNameArn"] == made["domainNameArn"]
    assert refused(gateway.get_domain_name, domainName=host)[0] == "NotFoundException"
    api.mock("/")
    api.deploy()
    gateway.create_base_path_mapping(**one, restApiId=api.id, stage="v1")
    assert api.session.get(platform.endpoint, headers={"Host": host}).status_code == 403, "there is no network from which it is reached"

    source = {"accessAssociationSourceType": "VPCE", "accessAssociationSource": "vpce-0abc"}
    linked = gateway.create_domain_name_access_association(domainNameArn=made["domainNameArn"], **source)
    arn = linked["domainNameAccessAssociationArn"]
    assert arn.endswith(f":/domainnameaccessassociations/domainname/{host}+{made['domainNameId']}/vpcesource/vpce-0abc")
    found = gateway.get_domain_name_access_associations()["items"]
    assert [item for item in found if item["domainNameArn"] == made["domainNameArn"]] == [
        {"domainNameAccessAssociationArn": arn, "domainNameArn": made["domainNameArn"], **source}
    ]
    again = refused(gateway.create_domain_name_access_association, domainNameArn=made["domainNameArn"], **source)
    assert again[0] == "ConflictException"
    unknown = refused(gateway.create_domain_name_access_association, domainNameArn=made["domainNameArn"] + "x", **source)
    assert unknown[0] == "NotFoundException"
    gateway.reject_domain_name_access_association(domainNameAccessAssociationArn=arn, domainNameArn=made["domainNameArn"])
    assert refused(gateway.delete_domain_name_access_association, domainNameAccessAssociationArn=arn)[0] == "NotFoundException"
    gateway.create_domain_name_access_association(domainNameArn=made["domainNameArn"], **source)
    gateway.delete_base_path_mapping(**one, basePath="(none)")
    gateway.delete_domain_name(**one)
    left = gateway.get_domain_name_access_associations()["items"]
    assert not [item for item in left if item["domainNameArn"] == made["domainNameArn"]]
