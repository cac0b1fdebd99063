"""Node.js functions: ECMAScript modules and CommonJS, promises and callbacks, errors, streams, the SDK."""

import json
import re
from pathlib import Path

import pytest
from tests.support.functions import Functions

from haar.execution.contract import FunctionSpec

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.sandbox]

ANSWERS = {
    "a module": ("index.mjs", "export const handler = async (event) => ({ got: event });", {"got": {"é": 1}}),
    "top-level await": ("index.mjs", "const x = await Promise.resolve(5); export const handler = async () => x;", 5),
    "CommonJS": ("index.js", "exports.handler = async (event) => event.é;", 1),
    "a .cjs file": ("index.cjs", "module.exports.handler = async () => 'c';", "c"),
    "a default export": ("index.mjs", "export default { handler: async () => 'd' };", "d"),
    "a callback": ("index.js", "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, 'late'), 5); };", "late"),
    "a callback, at once": (
        "index.js",
        "exports.handler = (e, c, done) => { c.callbackWaitsForEmptyEventLoop = false; setTimeout(() => {}, 15000); done(null, 2); };",
        2,
    ),
    "a callback and what is left to do": (
        "index.js",
        "let n = 0; exports.handler = (e, c, done) => { setTimeout(() => { n = 1; }, 50); done(null, { get late() { return n; } }); };",
        {"late": 1},
    ),
    "the first of two answers": ("index.js", "exports.handler = async (e, c, done) => { done(null, 1); return 2; };", 2),
    "succeed, then fail": ("index.js", "exports.handler = (e, c) => { c.succeed('first'); c.fail(new Error('second')); };", "first"),
    "succeed with nothing": ("index.js", "exports.handler = (event, context) => context.succeed();", None),
    "a value that is no promise": ("index.js", "exports.handler = () => 5;", None),
    "a promise of another kind": ("index.js", "exports.handler = () => ({ then: (kept) => kept('thenable') });", "thenable"),
    "what JSON leaves out": (
        "index.mjs",
        "export const handler = async () => ({ a: undefined, b: new Date(0), c: [NaN], d: 1n.toString() });",
        {"b": "1970-01-01T00:00:00.000Z", "c": [None], "d": "1"},
    ),
    "succeed": ("index.js", "exports.handler = (event, context) => context.succeed('s');", "s"),
    "done": ("index.js", "exports.handler = (event, context) => context.done(null, 'o');", "o"),
    "nothing": ("index.mjs", "export const handler = async () => {};", None),
    "a promise that is never kept": ("index.mjs", "export const handler = () => new Promise(() => {});", None),
    "the SDK, imported": (
        "index.mjs",
        """
        import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
        import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
        export const handler = async () => [typeof DynamoDBClient, typeof DynamoDBDocumentClient.from];
        """,
        ["function", "function"],
    ),
    "the SDK, required": (
        "index.js",
        'const { S3Client } = require("@aws-sdk/client-s3"); exports.handler = async () => typeof S3Client;',
        "function",
    ),
    "a stream of a value": (
        "index.mjs",
        "export const handler = awslambda.streamifyResponse(async (event, out) => { out.write({ a: 1 }); out.end(); });",
        {"a": 1},
    ),
    "a stream": (
        "index.mjs",
        "export const handler = awslambda.streamifyResponse(async (event, out) => { out.write('[1'); out.write(',2]'); out.end(); });",
        [1, 2],
    ),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_it_answers(functions: Functions, what: str) -> None:
    file, text, answer = ANSWERS[what]
    assert await functions.answer(functions.node(text, file), {"é": 1}) == answer


NO_FILE = "Error: Cannot find module 'index'\nRequire stack:\n- /var/runtime/index.mjs"
NO_PACKAGE = "Cannot find package 'nope' imported from /var/task/index.mjs"
CYCLE = "export const handler = async () => { const a = {}; a.a = a; return a; };"
FAILURES = {
    "a throw": ("index.mjs", "export const handler = async () => { throw new TypeError('bad'); };", "TypeError", "bad"),
    "a callback's error": ("index.js", "exports.handler = (e, c, callback) => callback(new RangeError('far'));", "RangeError", "far"),
    "a callback's string": ("index.js", "exports.handler = (e, c, callback) => callback('no');", "string", "no"),
    "fail": ("index.js", "exports.handler = (event, context) => context.fail(new Error('f'));", "Error", "f"),
    "a lost rejection": (
        "index.mjs",
        "export const handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 9000)); };",
        "Runtime.UnhandledPromiseRejection",
        "Error: lost",
    ),
    "a lost exception": (
        "index.js",
        "exports.handler = () => { setTimeout(() => { throw new RangeError('x'); }, 5); setTimeout(() => {}, 9000); };",
        "RangeError",
        "x",
    ),
    "no handler": ("index.mjs", "export const other = 1;", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
    "no file": ("other.mjs", "", "Runtime.ImportModuleError", NO_FILE),
    "no package": ("index.mjs", "import 'nope';", "Error", NO_PACKAGE),
    "a syntax error": ("index.js", "exports.handler = (", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
    "a number thrown": ("index.mjs", "export const handler = async () => { throw 5; };", "number", "5"),
    "nothing thrown": ("index.mjs", "export const handler = async () => { throw undefined; };", "string", "handled"),
    "null thrown": ("index.mjs", "export const handler = async () => { throw null; };", "string", "handled"),
    "what cannot be told": (
        "index.mjs",
        "export const handler = async () => { throw Object.create(null); };",
        "handled",
        "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack",
    ),
    "an error of its own kind": (
        "index.mjs",
        "class Mine extends Error { constructor(m) { super(m); this.name = 'Mine'; this.code = 7; } } "
        "export const handler = async () => { throw new Mine('m'); };",
        "Mine",
        "m",
    ),
    "done": ("index.js", "exports.handler = (event, context) => context.done(new Error('d'));", "Error", "d"),
    "a rejection at the start": ("index.mjs", "throw new RangeError('early'); export const handler = 1;", "RangeError", "early"),
    "no function": ("index.mjs", "export const handler = 1;", "Runtime.HandlerNotFound", "index.handler is not a function"),
    "a cycle": ("index.mjs", CYCLE, "Error", "Unable to stringify response body"),
    "a broken stream": (
        "index.mjs",
        "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('x'); throw new Error('late'); });",
        "Error",
        "late",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FAILURES)
async def test_it_says_why_it_fails(functions: Functions, what: str) -> None:
    file, text, kind, message = FAILURES[what]
    told = await functions.failure(functions.node(text, file))
    assert (told["errorType"], told["errorMessage"]) == (kind, message)


async def test_the_context_says_what_runs(functions: Functions) -> None:
    spec = functions.node(
        """
        export const handler = async (event, context) => {
          return { ...context, left: context.getRemainingTimeInMillis(), region: process.env.AWS_REGION };
        };
        """
    )
    told = await functions.answer(spec, request_id="0" * 8 + "-aaaa-4bbb-8ccc-" + "1" * 12, client_context='{"client": {"a": 1}}')
    assert told.pop("left") in range(1, 20_001)
    assert told.pop("logStreamName").startswith("20")
    assert told == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionName": spec.name,
        "functionVersion": "$LATEST",
        "memoryLimitInMB": "256",
        "logGroupName": f"/aws/lambda/{spec.name}",
        "clientContext": {"client": {"a": 1}},
        "invokedFunctionArn": spec.arn,
        "awsRequestId": "00000000-aaaa-4bbb-8ccc-111111111111",
        "region": "us-east-1",
    }


async def test_what_the_console_says_is_one_event_in_awss_form(functions: Functions) -> None:
    spec = functions.node(
        """
        console.log("before");
        export const handler = async () => {
          console.warn("two\\nlines", { a: 1 });
          console.error(new Error("e").message);
          process.stdout.write("plain\\n");
        };
        """
    )
    request_id = "22222222-aaaa-4bbb-8ccc-111111111111"
    result = await functions.run(spec, request_id=request_id)
    log = [re.sub(r"^[\d-]{10}T[\d:.]{12}Z", "TIME", line) for line in await functions.logged(spec, "^REPORT ")]
    assert "TIME\tundefined\tINFO\tbefore\n" in log
    at = log.index(f"TIME\t{request_id}\tWARN\ttwo\nlines {{ a: 1 }}\n")
    assert log[at + 1 : at + 3] == [f"TIME\t{request_id}\tERROR\te\n", "plain\n"]
    assert b"WARN\ttwo" in result.log_tail


async def test_the_log_can_be_json(functions: Functions) -> None:
    text = """
    export const handler = async () => {
      console.info({ a: 1 }); console.log('x', 2); console.log(5);
      console.error(new TypeError("t")); console.error("e", new RangeError("r"));
    };
    """
    spec = functions.node(text, log_format="JSON")
    request_id = "33333333-aaaa-4bbb-8ccc-111111111111"
    await functions.run(spec, request_id=request_id)
    lines = [json.loads(line) for line in await functions.logged(spec, "platform.report") if line.startswith("{")]
    said = [line for line in lines if "message" in line]
    assert [(line["level"], line["message"]) for line in said[:3]] == [("INFO", {"a": 1}), ("INFO", "x 2"), ("INFO", 5)]
    assert list(said[3]["message"]) == ["errorType", "errorMessage", "stackTrace"] and said[3]["message"]["errorMessage"] == "t"
    assert (said[4]["errorType"], said[4]["errorMessage"], said[4]["stackTrace"][0]) == ("RangeError", "r", "RangeError: r")
    assert said[4]["message"].startswith("e RangeError: r\n")
    assert {line["requestId"] for line in said} == {request_id}
    assert [line["type"] for line in lines if "type" in line] == ["platform.initStart", "platform.start", "platform.report"]
    assert lines[-1]["record"]["metrics"]["memorySizeMB"] == 256


async def test_the_sdk_does_not_complain_of_the_hosts_node(functions: Functions) -> None:
    text = "const { S3Client } = require('@aws-sdk/client-s3'); exports.handler = async () => { new S3Client({}); };"
    result = await functions.run(functions.node(text, "index.js"))
    assert result.error is None and b"Warning" not in result.log_tail


async def test_a_layers_packages_are_found_both_ways(functions: Functions) -> None:
    where = "nodejs/node_modules/shared/"
    layer = functions.package({where + "index.js": "exports.value = 7;", where + "package.json": '{"main": "index.js"}'})
    for file, text in {
        "index.mjs": 'import { value } from "shared"; export const handler = async () => value;',
        "index.js": 'const { value } = require("shared"); exports.handler = async () => value;',
    }.items():
        assert await functions.answer(functions.node(text, file, layers=(layer,))) == 7


async def test_a_layer_is_for_the_version_that_was_asked_for(functions: Functions) -> None:
    layer = functions.package({"nodejs/node22/node_modules/shared/index.js": "exports.value = 22;"})
    text = "const { value } = require('shared'); exports.handler = async () => [value, process.env.NODE_PATH.split(':')[0]];"
    spec = functions.make({"index.js": text}, "index.handler", "nodejs22.x", layers=(layer,), memory_mb=256)
    assert await functions.answer(spec) == [22, "/opt/nodejs/node22/node_modules"]


async def test_a_metadata_prelude_comes_before_a_streamed_body(functions: Functions) -> None:
    spec = functions.node(
        """
        export const handler = awslambda.streamifyResponse(async (event, stream) => {
          const answer = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
          answer.write("body"); answer.end();
        });
        """
    )
    assert (await functions.run(spec)).payload == b'{"statusCode":201}' + bytes(8) + b"body"


async def test_variables_that_node_reads_at_its_start_count(functions: Functions) -> None:
    text = "export const handler = async () => [process.env.NODE_OPTIONS, typeof globalThis.gc];"
    spec = functions.node(text, environment=(("NODE_OPTIONS", "--expose-gc"),))
    assert await functions.answer(spec) == ["--expose-gc", "function"]


async def test_certificates_are_not_read_before_they_are_needed(functions: Functions) -> None:
    text = """
    import { readFileSync } from "node:fs";
    import { execFileSync } from "node:child_process";
    export const handler = async () => [
      readFileSync("/proc/self/environ", "utf8").includes("NODE_EXTRA_CA_CERTS"),
      execFileSync(process.execPath, ["-p", "process.env.NODE_EXTRA_CA_CERTS"], { encoding: "utf8" }).trim(),
    ];
    """
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    for memory in (256, 333):  # with an interpreter that has waited, perhaps, and without
        started_with, told_later = await functions.answer(functions.node(text, memory_mb=memory))
        assert not started_with or not Path(bundle).is_file()
        assert told_later == bundle or not Path(bundle).is_file()
    spec = functions.node(text, environment=(("NODE_EXTRA_CA_CERTS", "/var/task/own.pem"),))
    assert await functions.answer(spec) == [True, "/var/task/own.pem"]


async def test_handlers_in_directories_and_packages(functions: Functions) -> None:
    files = {
        "src/deep/app.js": "export const handlers = { main: async () => 'deep' };",
        "src/package.json": '{"type": "module"}',
        "common.js": "exports.handler = async () => require('./lib/other').value;",
        "lib/other/index.js": "exports.value = 'required';",
        "imported.mjs": "import other from './lib/other/index.js'; export const handler = async () => other.value;",
        "mixed.cjs": "exports.handler = async () => (await import('./src/deep/app.js')).handlers.main();",
    }
    for handler, answer in {
        "src/deep/app.handlers.main": "deep",
        "common.handler": "required",
        "imported.handler": "required",
        "mixed.handler": "deep",
    }.items():
        assert await functions.answer(functions.make(files, handler, "nodejs22.x", memory_mb=256)) == answer
    for handler in ("../app.handler", "app"):
        told = await functions.failure(functions.make(files, handler, "nodejs22.x", memory_mb=256))
        assert told["errorType"] == "Runtime.MalformedHandlerName"


async def test_from_node_24_on_a_handler_answers_by_what_it_returns(functions: Functions) -> None:
    def make(text: str) -> FunctionSpec:
        return functions.make({"index.js": text}, "index.handler", "nodejs24.x", memory_mb=256)

    assert await functions.answer(make("exports.handler = (event, context) => ['done' in context, arguments.length && 5];"), 1) == [
        False,
        5,
    ]
    assert await functions.answer(make("exports.handler = async (event, ...rest) => rest.length;")) == 1
    told = await functions.failure(make("exports.handler = (event, context, callback) => callback(null, 1);"))
    assert told["errorType"] == "Runtime.CallbackHandlerDeprecated"
    assert told["errorMessage"].startswith(
        "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24."
    )
    streaming = "awslambda.streamifyResponse(async (event, stream, context) => { stream.write('done' in context); stream.end(); })"
    assert await functions.answer(make(f"exports.handler = {streaming};")) is False


async def test_a_module_that_never_ends_its_own_start(functions: Functions) -> None:
    told = await functions.failure(functions.node("await new Promise(() => {}); export const handler = async () => 1;"))
    assert told["errorMessage"].endswith("Error: Runtime exited with error: exit status 13")


async def test_a_trace_begins_with_what_was_wrong(functions: Functions) -> None:
    told = await functions.failure(functions.node("require('nope');", "index.js"))
    assert told["trace"][:3] == ["Runtime.ImportModuleError: Error: Cannot find module 'nope'", "Require stack:", "- /var/task/index.js"]
    told = await functions.failure(functions.node("exports.handler = (", "index.js"))
    assert told["trace"][0] == "Runtime.UserCodeSyntaxError: SyntaxError: Unexpected end of input"


async def test_a_function_in_commonjs_is_nobodys_child(functions: Functions) -> None:
    text = "exports.handler = async () => [typeof require.main, require.main === module];"
    assert await functions.answer(functions.node(text, "index.js")) == ["undefined", False]


async def test_errors_in_the_log(functions: Functions) -> None:
    text = (
        "export const handler = async (event) => { throw event ? Object.assign(new RangeError('r'), { code: 'C', more: [1] }) : 'text'; };"
    )
    spec, told = functions.node(text), []
    for event in (True, False):
        await functions.run(spec, event)
    for line in await functions.logged(spec, "Invoke Error", 2):
        if "Invoke Error \t" in line:
            told.append(json.loads(line.partition("Invoke Error \t")[2]))
    assert list(told[0]) == ["errorType", "errorMessage", "code", "more", "stack"]
    assert (told[0]["errorType"], told[0]["code"], told[0]["more"], told[0]["stack"][0]) == ("RangeError", "C", [1], "RangeError: r")
    assert list(told[1]) == ["errorType", "errorMessage", "stack"]
    assert (told[1]["errorType"], told[1]["errorMessage"], told[1]["stack"][0]) == ("Error", "text", "Error: text")


async def test_a_process_that_exits(functions: Functions) -> None:
    told = await functions.failure(functions.node("export const handler = async () => process.exit(0);"))
    assert told["errorType"] == "Runtime.ExitError" and told["errorMessage"].endswith("Error: Runtime exited without providing a reason")
    told = await functions.failure(functions.node("export const handler = async () => process.exit(7);"))
    assert told["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")
