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
  else write(`${new Date().toISOString()}\t${requestId}\tERROR\t${what} \t${safe({ ...own(error), ...told(described) })}`);
}

function told({ trace, ...rest }) {
  return { ...rest, stack: trace };
}

function own(error) {
  return error instanceof Error ? { ...error } : {};
}

function safe(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return format("%o", value);
  }
}

function emit(level, values) {
  if (!json) return write(`${new Date().toISOString()}\t${requestId}\t${level}\t${format(...values)}`);
  const [first] = values;
  const plain = values.length === 1 && first !== null && typeof first === "object" && !(first instanceof Error);
  write(line(level, plain ? first : format(...values), values.find((value) => value instanceof Error)));
}

function line(level, message, error) {
  const entry = { timestamp: new Date().toISOString(), level, requestId, message };
  if (error) Object.assign(entry, { errorType: error.name, errorMessage: error.message, stackTrace: error.stack?.split("\n") });
  return safe(entry);
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
