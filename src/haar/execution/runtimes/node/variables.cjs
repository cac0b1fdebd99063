// What haar sends over descriptor 3 once this process has a function: four bytes of length, then NAME=VALUE between NULs.
"use strict";
const { Socket } = require("node:net");

const HAAR = 3;
const EARLY = ["@smithy/core", "@aws-sdk/core", "@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb"];

async function receiveVariables() {
  if (process.env.LAMBDA_TASK_ROOT) return; // started with them
  const socket = new Socket({ fd: HAAR, readable: true, writable: false });
  let received = Buffer.alloc(0);
  const complete = () => received.length >= 4 && received.length >= 4 + received.readUInt32BE(0);
  const arrived = new Promise((resolve) => {
    socket.on("data", (data) => {
      received = Buffer.concat([received, data]);
      if (complete()) resolve();
    });
    socket.on("close", () => complete() || process.exit(0)); // haar does not want this environment any more
  });
  await importEarly(() => received.length > 0);
  await arrived;
  socket.destroy();
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const entry of received.toString("utf8", 4).split("\0")) {
    const at = entry.indexOf("=");
    if (at > 0) process.env[entry.slice(0, at)] = entry.slice(at + 1);
  }
}

// What most functions import, while nobody waits. A function that brings its own gets its own: modules are known by their path.
async function importEarly(wanted) {
  for (const name of EARLY) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (wanted()) return;
    try {
      require(name);
    } catch (error) {
      if (error.code !== "MODULE_NOT_FOUND") throw error; // the SDK is not installed: functions that need it will say so
      return;
    }
  }
}

module.exports = { receiveVariables };
