// The Node.js runtime of an execution environment: waits for its function, loads it, and serves invocations.
"use strict";
const { chdir } = require("node:process");
const { fail, installConsole, setRequestId } = require("./console.cjs");
const { load, named } = require("./function.cjs");
const { context, describe, isModern, Settled } = require("./invocation.cjs");
const { RuntimeClient } = require("./client.cjs");
const { receiveVariables } = require("./variables.cjs");
const { installStreaming, isStreaming, ResponseStream } = require("./streaming.cjs");

const EXIT_ERROR = 1;
const EXIT_REJECTION = 128;
const EXIT_EXCEPTION = 129;
const EXIT_UNSETTLED = 13; // Node's own, of a top-level await that nothing will settle
const NO_CALLBACKS =
  "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use " +
  "a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.";

async function main() {
  await receiveVariables();
  trustInChildren();
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true"; // Node.js is the host's: the function's author cannot renew it
  chdir(process.env.LAMBDA_TASK_ROOT);
  installConsole(process.env.AWS_LAMBDA_LOG_FORMAT, process.env.AWS_LAMBDA_LOG_LEVEL);
  installStreaming();
  const client = new RuntimeClient(process.env.AWS_LAMBDA_RUNTIME_API);
  const running = { loaded: false, id: undefined, settle: undefined };
  catchStrays(client, running);
  client.idle();
  process.mainModule = undefined; // the function is nobody's child
  let handler;
  try {
    handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
    if (isModern() && handler.length >= 3 && !isStreaming(handler)) throw named("Runtime.CallbackHandlerDeprecated", NO_CALLBACKS);
  } catch (error) {
    await initFailed(client, error);
    return;
  }
  running.loaded = true;
  let event = await client.next();
  for (;;) {
    event = await serve(client, handler, event, running);
  }
}

// This process has its certificates from SSL_CERT_FILE; others that the function starts with plain `node` do not.
function trustInChildren() {
  const { env } = process;
  if (process.execArgv.includes("--use-openssl-ca")) env.NODE_EXTRA_CA_CERTS ??= env.SSL_CERT_FILE;
}

async function serve(client, handler, event, running) {
  running.id = event.id;
  setRequestId(event.id);
  if (event.traceId) process.env._X_AMZN_TRACE_ID = event.traceId;
  else delete process.env._X_AMZN_TRACE_ID;
  client.idle(); // from here on, an empty event loop means that the function has nothing left to do
  try {
    if (isStreaming(handler)) return await stream(client, handler, event);
    const result = await run(handler, event, running);
    return await client.respond(event.id, result);
  } catch (error) {
    const described = describe(error);
    fail("Invoke Error", error, described);
    return await client.fail(event.id, described);
  }
}

function run(handler, event, running) {
  const settled = new Settled();
  running.settle = settled;
  const about = context(event, settled);
  try {
    const result = isModern() ? handler(JSON.parse(event.body), about) : handler(JSON.parse(event.body), about, settled.callback);
    if (typeof result?.then === "function") result.then(settled.succeed, settled.fail);
    else if (isModern()) settled.succeed(result);
  } catch (error) {
    settled.fail(error);
  }
  return settled.outcome.then(stringify);
}

function stringify(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? "null";
  } catch {
    throw new Error("Unable to stringify response body");
  }
}

async function stream(client, handler, event) {
  const output = new ResponseStream(client.address, event.id);
  const settled = new Settled();
  try {
    await handler(JSON.parse(event.body), output, context(event, settled));
    if (!output.writableEnded) output.end();
    await output.done;
  } catch (error) {
    fail("Invoke Error", error, describe(error));
    await output.abort(describe(error));
  }
  return await client.next();
}

async function initFailed(client, error) {
  const described = describe(error);
  fail("Uncaught Exception", error, described);
  await client.initFailed(described);
  process.exit(EXIT_ERROR);
}

function catchStrays(client, running) {
  const stop = (error, status) => {
    const described = describe(error);
    fail(status === EXIT_REJECTION ? "Unhandled Promise Rejection" : "Uncaught Exception", error, described);
    const told = running.id === undefined ? client.initFailed(described) : client.failApart(running.id, described);
    told.finally(() => process.exit(status));
  };
  process.on("uncaughtException", (error) => stop(error, EXIT_EXCEPTION));
  process.on("unhandledRejection", (reason, promise) => {
    const error = named("Runtime.UnhandledPromiseRejection", reason?.toString());
    stop(Object.assign(error, { reason, promise }), EXIT_REJECTION);
  });
  process.on("beforeExit", () => (running.loaded ? running.settle?.empty() : process.exit(EXIT_UNSETTLED)));
}

main();
