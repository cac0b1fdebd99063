// One invocation: the context object, the ways in which a handler may end it, and how an error is told.
"use strict";
const { types } = require("node:util");

const CLASSIC = ["callbackWaitsForEmptyEventLoop", "done", "succeed", "fail"];
const PARTS = ["name", "message", "stack"];
const UNTOLD = "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack";

class Settled {
  constructor() {
    this.over = false;
    this.kept = undefined;
    this.waits = true;
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.succeed = (result) => this.end(undefined, result);
    this.fail = (error) => this.end(error ?? "handled");
    this.callback = (error, result) => {
      if (this.over || this.kept) return;
      if (!this.waits) this.end(error ?? undefined, result);
      else this.kept = [error ?? undefined, result];
    };
  }

  // The event loop has nothing left: what a callback gave goes out now, and a handler that never answered has answered null.
  empty() {
    const [error, result] = this.kept ?? [undefined, null];
    this.end(error, result);
  }

  end(error, result) {
    if (this.over) return;
    this.over = true;
    if (error !== undefined) this.reject(error);
    else this.resolve(result);
  }
}

// From Node.js 24 on, a handler answers by what it returns, and by nothing else.
let modern;
function isModern() {
  return (modern ??= Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV)?.[1]) >= 24);
}

function context(event, settled) {
  const { env } = process;
  const told = {
    get callbackWaitsForEmptyEventLoop() {
      return settled.waits;
    },
    set callbackWaitsForEmptyEventLoop(value) {
      settled.waits = Boolean(value);
    },
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: event.clientContext ? JSON.parse(event.clientContext) : undefined,
    identity: undefined,
    invokedFunctionArn: event.arn,
    awsRequestId: event.id,
    getRemainingTimeInMillis: () => event.deadline - Date.now(),
    done: (error, result) => (error === undefined || error === null ? settled.succeed(result) : settled.fail(error)),
    succeed: settled.succeed,
    fail: settled.fail,
  };
  if (isModern()) for (const name of CLASSIC) delete told[name];
  return told;
}

function describe(error) {
  try {
    if (!isError(error)) return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
    const described = { errorType: error.name, errorMessage: error.message };
    if (error.name === "Runtime.UnhandledPromiseRejection") Object.assign(described, { reason: plain(error.reason), promise: {} });
    described.trace = error.stack.split("\n");
    return described;
  } catch {
    return { errorType: "handled", errorMessage: UNTOLD };
  }
}

function isError(value) {
  return types.isNativeError(value) || (value !== null && typeof value === "object" && PARTS.every((part) => typeof value[part] === "string"));
}

function plain(reason) {
  return reason instanceof Error ? describe(reason) : reason;
}

module.exports = { Settled, context, describe, isModern };
