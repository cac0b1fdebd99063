// console as on AWS: time, request id, level and message between tabs, or JSON. A message is one event, however many lines it has.
"use strict";
const { writeSync } = require("node:fs");
const { format } = require("node:util");

const OUTPUT = 1;
const FRAME = 0xa55a0003;
const HEADER = 16;
const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const METHODS = { trace: "TRACE", debug: "DEBUG", log: "INFO", info: "INFO", warn: "WARN", error: "ERROR" };
const pause = new Int32Array(new SharedArrayBuffer(4));
let requestId;
let json = false;

function setRequestId(id) {
  requestId = id;
}

function installConsole(logFormat, level) {
  json = logFormat?.toUpperCase() === "JSON";
  const least = json ? Math.max(0, LEVELS.indexOf(level?.toUpperCase() ?? "TRACE")) : 0;
  for (const [method, name] of Object.entries(METHODS)) {
    console[method] = LEVELS.indexOf(name) < least ? () => {} : (...values) => emit(name, values);
  }
  console.fatal = (...values) => emit("FATAL", values);
}

function fail(what, error, described) {
  if (json) write(line("ERROR", { errorType: described.errorType, errorMessage: described.errorMessage, stackTrace: described.trace }));
  else write(`${new Date().toISOString()}\t${requestId}\tERROR\t${what} \t${told(error, described)}`);
}

function told(error, described) {
  try {
    return JSON.stringify(error instanceof Error ? error : new Error(described.errorMessage), (_, value) =>
      value instanceof Error
        ? { errorType: value.name, errorMessage: value.message, code: value.code, ...value, stack: value.stack?.split("\n") }
        : value,
    );
  } catch {
    return JSON.stringify(described);
  }
}

function emit(level, values) {
  if (!json) return write(`${new Date().toISOString()}\t${requestId}\t${level}\t${format(...values)}`);
  if (values.length === 1) return write(line(level, values[0]));
  const error = values.find((value) => value instanceof Error);
  write(line(level, format(...values), error && shown(error)));
}

function line(level, message, more) {
  const entry = { timestamp: new Date().toISOString(), level, requestId, message, ...more };
  try {
    return JSON.stringify(entry, (_, value) => (value instanceof Error ? { ...shown(value), ...value } : value));
  } catch {
    return JSON.stringify({ ...entry, message: format(message) });
  }
}

function shown(error) {
  return { errorType: error.constructor?.name ?? "UnknownError", errorMessage: error.message, stackTrace: error.stack?.split("\n") };
}

function write(message) {
  const text = Buffer.from(message + "\n");
  const frame = Buffer.alloc(HEADER + text.length);
  frame.writeUInt32BE(FRAME, 0);
  frame.writeUInt32BE(text.length, 4);
  frame.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
  text.copy(frame, HEADER);
  for (let written = 0; written < frame.length; ) {
    try {
      written += writeSync(OUTPUT, frame, written);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1); // haar is reading: there will be room
    }
  }
}

module.exports = { setRequestId, installConsole, fail };
