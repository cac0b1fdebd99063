"""Ruby and Java functions, and those that bring their own bootstrap: handlers in every form, errors in AWS's shapes."""

import io
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.functions import Functions

from haar.execution.contract import FunctionSpec
from haar.execution.runtimes import java

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sandbox]
needs_ruby = pytest.mark.skipif(shutil.which("ruby") is None, reason="Ruby is not installed: apt-get install ruby")
needs_java = pytest.mark.skipif(
    not (java.homes() and java.added() and shutil.which("javac")), reason="no JDK, or not yet: haar runtimes add java"
)
RUBY = """
require "json"
def handler(event:, context:)
  puts "got #{event}"
  { id: context.aws_request_id, name: context.function_name, left: context.get_remaining_time_in_millis.between?(1, 20_000),
    memory: context.memory_limit_in_mb, custom: context.client_context, "é" => event["é"] }
end
class Outer
  def self.process(event:, context:) = event + 1
end
module Deep
  class Inner
    def self.process(event:, context:) = raise(ArgumentError, "bad #{event}")
  end
end
def slow(event:, context:) = sleep(30)
"""


@needs_ruby
async def test_ruby(functions: Functions) -> None:
    def make(handler: str, **more: Any) -> FunctionSpec:
        return functions.make({"app.rb": RUBY, "lib/deep.rb": "def there(event:, context:) = [event, __dir__]"}, handler, "ruby3.3", **more)

    spec = make("app.handler")
    request_id = "44444444-aaaa-4bbb-8ccc-111111111111"
    told = await functions.answer(spec, {"é": "ü"}, request_id=request_id, client_context='{"a": 1}')
    assert told == {"id": request_id, "name": spec.name, "left": True, "memory": "128", "custom": {"a": 1}, "é": "ü"}
    log = await functions.logged(spec, "^REPORT ")
    assert any(line.startswith('got {"é"=>"ü"}') for line in log)
    assert any("ruby3.3 runs on Ruby" in line for line in log)
    assert await functions.answer(make("app.Outer.process"), 4) == 5
    assert await functions.answer(make("lib/deep.there"), [1]) == [[1], "/var/task/lib"]
    failed = await functions.failure(make("app.Deep::Inner.process"), 7)
    assert (failed["errorType"], failed["errorMessage"]) == ("Function<ArgumentError>", "bad 7")
    assert failed["stackTrace"][0].startswith("/var/task/app.rb:")
    for handler, kind in {
        "nowhere.handler": "Init<LoadError>",
        "app": "Init<ArgumentError>",
        "app.missing": "Function<NoMethodError>",
    }.items():
        assert (await functions.failure(make(handler), 1))["errorType"] == kind
    assert (await functions.failure(make("app.slow", timeout=1.0), 1))["errorType"] == "Sandbox.Timedout"


JAVA = {
    "example/Handlers.java": """
        package example;
        import com.amazonaws.services.lambda.runtime.*;
        import java.io.*;
        import java.util.*;
        public class Handlers implements RequestHandler<Map<String, Object>, Map<String, Object>> {
            public static class Order {
                private int count;
                public int getCount() { return count; }
                public void setCount(int count) { this.count = count; }
            }
            public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
                context.getLogger().log("logged " + event);
                System.out.println("printed");
                Map<String, Object> told = new TreeMap<>();
                told.put("id", context.getAwsRequestId());
                told.put("name", context.getFunctionName());
                told.put("left", context.getRemainingTimeInMillis() > 0);
                told.put("event", event);
                return told;
            }
            public Order pojo(Order order) { order.setCount(order.getCount() + 1); return order; }
            public String text(String event, Context context) { return event + event; }
            public int number(int event) { throw new IllegalStateException("bad " + event); }
        }
    """,
    "example/Stream.java": """
        package example;
        import com.amazonaws.services.lambda.runtime.*;
        import java.io.*;
        public class Stream implements RequestStreamHandler {
            public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
                out.write('['); in.transferTo(out); out.write(']');
            }
        }
    """,
}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The compiled classes, by their names in a package."""
    directory = tmp_path_factory.mktemp("java")
    for name, text in JAVA.items():
        path = directory / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sources = [str(directory / "src" / name) for name in JAVA]
    subprocess.run(["javac", "--release", "17", "-cp", f"{java.JARS}/*", "-d", str(directory / "out"), *sources], check=True)
    return {str(path.relative_to(directory / "out")): path.read_bytes() for path in (directory / "out").rglob("*.class")}


@needs_java
async def test_java(functions: Functions, classes: dict[str, bytes]) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as written:
        for name, content in classes.items():
            written.writestr(name, content)

    def make(handler: str, files: Any = classes) -> FunctionSpec:
        return functions.make(files, handler, "java17", memory_mb=512)

    spec = make("example.Handlers")
    told = await functions.answer(spec, {"a": [1, None]}, request_id="55555555-aaaa-4bbb-8ccc-111111111111")
    assert told == {"id": "55555555-aaaa-4bbb-8ccc-111111111111", "name": spec.name, "left": True, "event": {"a": [1, None]}}
    log = "".join(await functions.logged(spec, "^REPORT "))
    assert "logged {a=[1, null]}" in log and "printed\n" in log
    assert await functions.answer(make("example.Handlers::pojo"), {"count": 4}) == {"count": 5}
    assert await functions.answer(make("example.Handlers::text", {"lib/all.jar": archive.getvalue()}), "x") == "xx"
    assert await functions.answer(make("example.Stream"), {"b": 2}) == [{"b": 2}]
    failed = await functions.failure(make("example.Handlers::number"), 3)
    assert (failed["errorType"], failed["errorMessage"]) == ("java.lang.IllegalStateException", "bad 3")
    assert failed["stackTrace"][0].startswith("example.Handlers.number(")
    assert (await functions.failure(make("example.Nothing"), 3))["errorType"] == "java.lang.ClassNotFoundException"


SHELL = """#!/bin/sh
while true; do
  head=$(mktemp)
  event=$(curl -sS -LD "$head" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$head" | tr -d '[:space:]' | cut -d: -f2)
  curl -sS "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" -d "[$event, \\"$_HANDLER\\", \\"$PWD\\"]" >/dev/null
done
"""


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="curl is not installed")
@pytest.mark.parametrize("runtime", ["provided", "provided.al2", "provided.al2023"])
async def test_a_shell_script_as_a_bootstrap(functions: Functions, runtime: str) -> None:
    spec = functions.make({"bootstrap": SHELL}, "my.handler", runtime, modes={"bootstrap": 0o755})
    assert await functions.answer(spec, {"a": 1}) == [{"a": 1}, "my.handler", "/var/task"]


ECHOED = '[$event, \\"$_HANDLER\\", \\"$PWD\\"]'
SOURCING = """#!/bin/sh
set -euo pipefail
source $LAMBDA_TASK_ROOT/"$(echo $_HANDLER | cut -d. -f1).sh"
""" + SHELL.replace(ECHOED, '$($(echo $_HANDLER | cut -d. -f2) "$event")')
LIBRARY = """function handler () {
  local words=("$1" '"from a function"')
  echo "[${words[0]}, ${words[1]}]"
}
"""


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="curl is not installed")
async def test_sh_is_bash_as_on_amazon_linux(functions: Functions) -> None:
    package = {"bootstrap": SOURCING, "function.sh": LIBRARY}
    spec = functions.make(package, "function.handler", "provided.al2023", modes={"bootstrap": 0o755})
    assert await functions.answer(spec, {"a": 1}) == [{"a": 1}, "from a function"]
    source = "import subprocess\ndef handler(event, context):\n    return subprocess.run(event, shell=True).returncode\n"
    assert await functions.answer(functions.make(source), "[[ a == a ]] && test -n $BASH_VERSION") == 0


async def test_bootstraps_that_cannot_be_run(functions: Functions) -> None:
    spec = functions.make({"bootstrap": SHELL}, "x", "provided.al2", modes={"bootstrap": 0o644})
    failed = await functions.failure(spec)
    assert (
        failed["errorType"] == "Runtime.InvalidEntrypoint" and "fork/exec /var/task/bootstrap: permission denied" in failed["errorMessage"]
    )
    failed = await functions.failure(functions.make({"other": "x"}, "x", "provided.al2023"))
    assert "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]" in failed["errorMessage"]
    layer = functions.package({"bootstrap": "#!/usr/bin/python3\nimport sys; sys.exit(3)"}, {"bootstrap": 0o755})
    failed = await functions.failure(functions.make({"other": "x"}, "x", "provided.al2023", layers=(layer,)))
    assert (failed["errorType"], failed["errorMessage"].partition(" Error: ")[2]) == (
        "Runtime.ExitError",
        "Runtime exited with error: exit status 3",
    )
