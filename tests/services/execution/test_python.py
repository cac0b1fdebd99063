"""Python functions, as their authors see them."""

import asyncio
import re
import uuid

import pytest
from tests.support.functions import Functions

from haar.execution import runtimes

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sandbox]


async def test_a_handler_gets_its_event_and_its_answer_comes_back(functions: Functions) -> None:
    spec = functions.make("def handler(event, context): return {'got': event}")
    assert await functions.answer(spec, {"é": [1, None, 2.5, "\u2028"]}) == {"got": {"é": [1, None, 2.5, "\u2028"]}}


async def test_the_context_says_what_runs(functions: Functions) -> None:
    spec = functions.make(
        """
        def handler(event, context):
            names = ["aws_request_id", "function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "log_group_name",
                     "log_stream_name"]
            return {name: getattr(context, name) for name in names} | {
                "left": context.get_remaining_time_in_millis(), "custom": context.client_context and context.client_context.custom}
        """,
        memory_mb=192,
        timeout=9.0,
        version="7",
    )
    request_id = str(uuid.uuid4())
    told = await functions.answer(spec, request_id=request_id, invoked_arn=spec.arn + ":live", client_context='{"custom": {"a": "b\\n"}}')
    assert told.pop("left") in range(1, 9001)
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[7\][0-9a-f]{32}", told.pop("log_stream_name"))
    assert told == {
        "aws_request_id": request_id,
        "function_name": spec.name,
        "function_version": "7",
        "invoked_function_arn": spec.arn + ":live",
        "memory_limit_in_mb": "192",
        "log_group_name": f"/aws/lambda/{spec.name}",
        "custom": {"a": "b\n"},
    }


async def test_the_environment_variables_are_those_of_lambda(functions: Functions) -> None:
    environment = (("TABLE", "t=1"), ("TZ", "Europe/Berlin"), ("AWS_REGION", "mars-1"), ("EMPTY", ""))
    spec = functions.make("import os\ndef handler(event, context): return dict(os.environ)", environment=environment)
    told = await functions.answer(spec, trace_id="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    assert told["TABLE"] == "t=1"
    assert told["EMPTY"] == ""
    assert told["TZ"] == "Europe/Berlin"
    assert told["AWS_REGION"] == told["AWS_DEFAULT_REGION"] == "us-east-1"
    assert told["_HANDLER"] == "app.handler"
    assert told["LAMBDA_TASK_ROOT"] == "/var/task"
    assert told["LAMBDA_RUNTIME_DIR"] == "/var/runtime"
    assert told["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
    assert told["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001"
    assert told["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert told["AWS_SECRET_ACCESS_KEY"] == f"secret-of-{spec.name}"
    assert told["AWS_SESSION_TOKEN"] == f"token-of-{spec.name}"
    assert told["_X_AMZN_TRACE_ID"] == "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    assert not {name for name in told if name.startswith(("HAAR", "_HAAR", "PYTEST", "VIRTUAL"))}


async def test_the_platform_is_reached_at_its_address_and_knows_who_calls(functions: Functions) -> None:
    spec = functions.make(
        """
        import os, urllib.request
        def handler(event, context):
            return urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + "/path").read().decode()
        """
    )
    environment = await functions.answer(spec)
    assert (environment, b"GET /path HTTP/1.1") in [(who, request.split(b"\r\n")[0]) for who, request in functions.surroundings.seen]


async def test_boto3_is_there_and_speaks_to_the_platform(functions: Functions) -> None:
    spec = functions.make(
        """
        import boto3
        def handler(event, context):
            boto3.client("dynamodb").list_tables()
            return boto3.__file__
        """
    )
    assert await functions.answer(spec) == "/var/runtime/boto3/__init__.py"
    assert any(b"DynamoDB_20120810.ListTables" in request for _, request in functions.surroundings.seen)


async def test_a_package_of_the_function_comes_before_the_runtimes(functions: Functions) -> None:
    spec = functions.make({"app.py": "import boto3\ndef handler(event, context): return boto3.MINE", "boto3.py": "MINE = 1"})
    assert await functions.answer(spec) == 1


async def test_haars_own_packages_are_not_there(functions: Functions) -> None:
    spec = functions.make(
        """
        import importlib.util
        def handler(event, context): return [name for name in event if importlib.util.find_spec(name)]
        """
    )
    assert await functions.answer(spec, ["haar", "orjson", "uvloop", "msgspec", "pip", "boto3"]) == ["boto3"]


async def test_what_a_module_keeps_stays_for_the_next_invocation(functions: Functions) -> None:
    spec = functions.make("import os\nseen = []\ndef handler(event, context):\n    seen.append(event)\n    return [os.getpid(), seen]")
    first = await functions.answer(spec, 1)
    assert await functions.answer(spec, 2) == [first[0], [1, 2]]


async def test_an_exception_is_answered_with_type_message_and_trace(functions: Functions) -> None:
    spec = functions.make("def handler(event, context):\n    raise ValueError('no ' + event)")
    request_id = str(uuid.uuid4())
    result = await functions.run(spec, "good", request_id=request_id)
    told = __import__("json").loads(result.payload)
    assert result.error == "Unhandled"
    assert told == {
        "errorMessage": "no good",
        "errorType": "ValueError",
        "requestId": request_id,
        "stackTrace": ["  File \"/var/task/app.py\", line 2, in handler\n    raise ValueError('no ' + event)\n"],
    }
    assert await functions.failure(spec, "luck")  # the environment lives on
    log = await functions.logged(spec, r"\[ERROR\] ValueError: no good\n")
    [error] = [line for line in log if line.startswith("[ERROR] ValueError: no good")]
    assert "Traceback (most recent call last):" in error  # one event, not one a line


NO_MODULE = "Unable to import module 'app': No module named '{}'"
BROKEN = [
    ({"other.py": ""}, "app.handler", "Runtime.ImportModuleError", NO_MODULE.format("app")),
    ({"app.py": "import nothing_like_it"}, "app.handler", "Runtime.ImportModuleError", NO_MODULE.format("nothing_like_it")),
    ({"app.py": "x = 1"}, "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
    ({"app.py": "def handler(:"}, "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app': "),
    ({"app.py": ""}, "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler': not enough values to unpack"),
    ({"app.py": "1 / 0"}, "app.handler", "ZeroDivisionError", "division by zero"),
]


@pytest.mark.parametrize(("files", "handler", "kind", "message"), BROKEN)
async def test_one_that_does_not_load_says_why(functions: Functions, files: dict[str, str], handler: str, kind: str, message: str) -> None:
    spec = functions.make(files, handler)
    told = await functions.failure(spec)
    assert told["errorType"] == kind
    assert told["errorMessage"].startswith(message)
    log = await functions.logged(spec, "^REPORT ")
    line = rf"INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: {kind}\n"
    assert [entry for entry in log if re.fullmatch(line, entry)]


async def test_a_handler_in_a_directory(functions: Functions) -> None:
    spec = functions.make({"src/deep/app.py": "def handler(event, context): return __file__"}, "src/deep/app.handler")
    assert await functions.answer(spec) == "/var/task/src/deep/app.py"


async def test_an_answer_that_is_not_json_is_a_marshal_error(functions: Functions) -> None:
    told = await functions.failure(functions.make("def handler(event, context): return {1, 2}"))
    assert told["errorType"] == "Runtime.MarshalError"


async def test_exit_and_quit_are_there(functions: Functions) -> None:
    told = await functions.failure(functions.make("def handler(event, context): exit(3)"))
    assert told["errorType"] == "Runtime.ExitError"
    assert told["errorMessage"].endswith(" Error: Runtime exited with error: exit status 3")


async def test_the_next_invocation_after_a_crash_works(functions: Functions) -> None:
    spec = functions.make(
        """
        import os, signal
        def handler(event, context):
            if event:
                os.kill(os.getpid(), getattr(signal, event))
            return os.getpid()
        """
    )
    for name, told in {"SIGKILL": "killed", "SIGSEGV": "segmentation fault", "SIGABRT": "aborted"}.items():
        failure = await functions.failure(spec, name)
        assert re.fullmatch(rf"RequestId: [0-9a-f-]{{36}} Error: Runtime exited with error: signal: {told}", failure["errorMessage"])
        assert isinstance(await functions.answer(spec), int)


async def test_an_answer_beyond_six_megabytes_is_refused(functions: Functions) -> None:
    spec = functions.make("def handler(event, context): return 'x' * event", memory_mb=512)
    assert len(await functions.answer(spec, 6 * 1024 * 1024 - 100)) == 6 * 1024 * 1024 - 100
    told = await functions.failure(spec, 7 * 1024 * 1024)
    assert told == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert await functions.answer(spec, 1) == "x"


async def test_layers_are_merged_into_opt(functions: Functions) -> None:
    first = functions.package({"python/shared.py": "VALUE = 'first'", "data/a": "a"})
    second = functions.package({"python/shared.py": "VALUE = 'second'", "bin/b": "b"})
    spec = functions.make(
        """
        import os, shared
        def handler(event, context): return [shared.VALUE, shared.__file__, sorted(os.listdir("/opt"))]
        """,
        layers=(first, second),
    )
    assert await functions.answer(spec) == ["second", "/opt/python/shared.py", ["bin", "data", "python"]]


async def test_variables_that_an_interpreter_reads_at_its_start_count(functions: Functions) -> None:
    spec = functions.make(
        "import sys\ndef handler(event, context): return [sys.flags.hash_randomization, sys.flags.dont_write_bytecode, sys.path[0]]",
        environment=(("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1")),
    )
    assert await functions.answer(spec) == [0, 1, "/var/task"]


async def test_a_wrapper_script_starts_the_runtime(functions: Functions) -> None:
    wrapper = '#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n'
    layer = functions.package({"wrap": wrapper}, {"wrap": 0o755})
    spec = functions.make(
        "import os\ndef handler(event, context): return os.environ['WRAPPED']",
        layers=(layer,),
        environment=(("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrap"),),
    )
    assert await functions.answer(spec) == "yes"


async def test_a_runtime_that_is_not_installed_says_so(functions: Functions) -> None:
    told = await functions.failure(functions.make("", runtime="cobol85"))
    assert told["errorType"] == "Runtime.InvalidRuntime"
    assert "cobol85" in told["errorMessage"]


async def test_own_files_win_over_what_was_imported_early(functions: Functions) -> None:
    plain = functions.make("import boto3, random, uuid\ndef handler(event, context): return random.random() < 2")
    assert await functions.answer(plain) is True
    await asyncio.sleep(1.0)  # by now a box waits with all of that in it
    text = "import random, uuid, urllib3, dateutil\ndef handler(event, context): return [random.X, uuid.X, urllib3.X]"
    files = {"random.py": "X = 1", "uuid.py": "X = 2", "urllib3/__init__.py": "X = 3", "app.py": text}
    assert await functions.answer(functions.make(files)) == [1, 2, 3]
    layer = functions.package({"python/urllib3/__init__.py": "X = 'layer'"})
    spec = functions.make("import urllib3\ndef handler(event, context): return [urllib3.X, urllib3.__file__]", layers=(layer,))
    assert await functions.answer(spec) == ["layer", "/opt/python/urllib3/__init__.py"]


@pytest.mark.parametrize("version", ["python3.12", runtimes.DEFAULT])
async def test_a_layer_is_for_the_version_that_was_asked_for(functions: Functions, version: str) -> None:
    layer = functions.package({f"python/lib/{version}/site-packages/shared.py": "X = 'shared'", "python/shared.py": "X = 'less'"})
    spec = functions.make("import shared\ndef handler(event, context): return shared.X", runtime="python3.12", layers=(layer,))
    assert await functions.answer(spec) == "shared"
