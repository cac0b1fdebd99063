"""GetSdk: the client for JavaScript, used by Node against the API that it is of."""

import io
import json
import subprocess
import zipfile
from pathlib import Path

from tests.services.apigateway.conftest import Api, refused

from haar.services.apigateway.sdks import method_name

USE = """
const factory = require("./apiGateway-js-sdk/apigClient.js");
const [accessKey, secretKey] = process.argv.slice(2);
(async () => {
  const said = [];
  const client = factory.newClient({ accessKey, secretKey, region: "us-east-1" });
  said.push((await client.petsPetIdGet({ petId: "a b/c", size: "x&y" })).data);
  said.push((await client.petsPost({}, { name: "Rex" }, { queryParams: { b: "2", a: "1 '*" } })).data);
  await factory.newClient({}).petsPost({}, {}).catch((error) => said.push([error.response.status, error.response.data]));
  console.log(JSON.stringify(said));
})();
"""


def test_a_client_for_javascript(api: Api, tmp_path: Path) -> None:
    template = '{"id": "$input.params("petId")", "type": "$input.params("Content-Type")",'
    template += ' "size": "$input.params("size")", "a": "$input.params("a")"}'
    api.mock("/pets/{petId}", template=template, requestParameters={"method.request.querystring.size": False})
    api.mock("/pets", "POST", template, authorizationType="AWS_IAM")
    api.deploy()
    made = api.gateway.get_sdk(restApiId=api.id, stageName="v1", sdkType="javascript")
    assert made["contentType"] == "application/octet-stream" and f"javascript_{api.id}-v1" in made["contentDisposition"]
    with zipfile.ZipFile(io.BytesIO(made["body"].read())) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "use.js").write_text(USE)
    keys = [api.platform.described["access_key_id"], api.platform.described["secret_access_key"]]
    done = subprocess.run(["node", "use.js", *keys], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found, posted, unsigned = json.loads(done.stdout)
    assert (found["id"], found["size"]) == ("a%20b%2Fc", "x&y")
    assert (posted["type"], posted["a"]) == ("application/json", "1 '*")
    assert unsigned == [403, {"message": "Missing Authentication Token"}]


def test_what_there_is_an_sdk_for(api: Api) -> None:
    assert [one["id"] for one in api.gateway.get_sdk_types()["items"]] == ["javascript"]
    assert api.gateway.get_sdk_type(id="javascript")["friendlyName"] == "JavaScript"
    assert refused(api.gateway.get_sdk_type, id="cobol")[0] == "NotFoundException"
    assert refused(api.gateway.get_sdk, restApiId=api.id, stageName="none", sdkType="javascript")[1] == "Invalid stage identifier specified"


def test_names_of_methods() -> None:
    assert method_name("/", "GET") == "rootGet"
    assert method_name("/pets/{petId}/vets-near/{proxy+}", "OPTIONS") == "petsPetIdVetsNearProxyOptions"
