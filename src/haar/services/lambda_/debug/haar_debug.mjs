// The handler of a Node.js function that is debugged: waits for the debugger, then loads the function's own handler and runs it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import inspector from "node:inspector";
import { pathToFileURL } from "node:url";

const PORT = 9229;
const { AWS_ENDPOINT_URL, HAAR_DEBUG_ADDRESS, HAAR_DEBUG_HANDLER, HAAR_DEBUG_PYTHON, HAAR_DEBUG_TOKEN, LAMBDA_TASK_ROOT } = process.env;
delete process.env.HAAR_DEBUG_TOKEN;

inspector.open(PORT, "127.0.0.1");
const tunnel = [`${LAMBDA_TASK_ROOT}/.haar_debug/tunnel.py`, String(PORT), new URL(AWS_ENDPOINT_URL).port, HAAR_DEBUG_TOKEN];
spawn(HAAR_DEBUG_PYTHON, ["-I", "-S", ...tunnel], { stdio: "ignore" }).unref();

let own;

async function load() {
  const at = HAAR_DEBUG_HANDLER.lastIndexOf(".");
  const file = [".mjs", ".js", ".cjs"].map((suffix) => `${LAMBDA_TASK_ROOT}/${HAAR_DEBUG_HANDLER.slice(0, at)}${suffix}`).find(existsSync);
  if (file === undefined) throw new Error(`haar: there is no file for the handler ${HAAR_DEBUG_HANDLER}`);
  const module = await import(pathToFileURL(file));
  const name = HAAR_DEBUG_HANDLER.slice(at + 1);
  return module[name] ?? module.default[name];
}

export const handler = async (event, context) => {
  if (own === undefined) {
    console.log(`haar: waits for a debugger at ${HAAR_DEBUG_ADDRESS}`);
    inspector.waitForDebugger();
    own = await load();
  }
  return new Promise((resolve, reject) => {
    const result = own(event, context, (error, value) => (error ? reject(error) : resolve(value)));
    if (typeof result?.then === "function") result.then(resolve, reject);
  });
};
