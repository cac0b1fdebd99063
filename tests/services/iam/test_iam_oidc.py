"""OpenID Connect providers."""

from typing import Any

from tests.support.identity import refused, trust


def test_a_providers_life(iam: Any, name: str, platform: Any) -> None:
    url = f"https://{name}.example.com/realm"
    print_ = "A" * 40
    arn = iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"], ThumbprintList=[print_])[
        "OpenIDConnectProviderArn"
    ]
    assert arn == f"arn:aws:iam::{platform.account}:oidc-provider/{name}.example.com/realm"
    assert refused(iam.create_open_id_connect_provider, Url=url)[0] == "EntityAlreadyExists"
    assert arn in [one["Arn"] for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="mine")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}])
    iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["a"])
    got = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (got["Url"], got["ClientIDList"], got["ThumbprintList"]) == (f"{name}.example.com/realm", ["mine"], ["b" * 40])
    assert got["Tags"] == iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)["Tags"] == [{"Key": "c", "Value": "d"}]
    document = trust({"Federated": arn}, Action="sts:AssumeRoleWithWebIdentity")
    assert iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["RoleName"] == name
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    said = refused(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn)
    assert said == ("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}", 404)
    assert refused(iam.create_open_id_connect_provider, Url="http://plain.example.com")[0] == "ValidationError"
    assert refused(iam.create_open_id_connect_provider, Url=url, ThumbprintList=["short"])[0] in ("InvalidInput", "ValidationError")
