// Finds a handler as AWS does: FILE.EXPORT, the file by .js, .mjs or .cjs, or a package's name.
"use strict";
const { existsSync, readFileSync } = require("node:fs");
const Module = require("node:module");
const { createRequire } = Module;
const path = require("node:path");
const { pathToFileURL } = require("node:url");

function named(name, message) {
  const error = new Error(message);
  Object.defineProperty(error, "name", { value: name });
  error.stack = error.stack.replace(/^Error/, name);
  return error;
}

async function load(root, handler) {
  if (handler.includes("..")) throw named("Runtime.MalformedHandlerName", `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  const base = path.basename(handler);
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match || !match[2]) throw named("Runtime.MalformedHandlerName", "Bad handler");
  const directory = handler.slice(0, handler.length - base.length);
  Module._initPaths(); // NODE_PATH was not yet known when this process started
  const module = await imported(root, path.join(directory, match[1]));
  const found = member(module, match[2]);
  if (found === undefined) throw named("Runtime.HandlerNotFound", `${handler} is undefined or not exported`);
  if (typeof found !== "function") throw named("Runtime.HandlerNotFound", `${handler} is not a function`);
  return found;
}

function member(module, name) {
  const pick = (from) => name.split(".").reduce((value, part) => value?.[part], from);
  return pick(module) ?? pick(module.default);
}

async function imported(root, name) {
  try {
    const file = located(root, name);
    if (isModule(root, file)) return await import(pathToFileURL(file).href);
    try {
      return createRequire(path.join(process.env.LAMBDA_RUNTIME_DIR, "index.mjs"))(file);
    } catch (error) {
      if (error?.code !== "ERR_REQUIRE_ESM" && error?.code !== "ERR_REQUIRE_ASYNC_MODULE") throw error;
      return await import(pathToFileURL(file).href);
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw renamed(error, "Runtime.UserCodeSyntaxError");
    if (error?.code === "MODULE_NOT_FOUND") throw renamed(error, "Runtime.ImportModuleError");
    throw error;
  }
}

function renamed(error, name) {
  const changed = named(name, String(error));
  const at = error.stack?.indexOf("\n    at ") ?? -1;
  changed.stack = `${name}: ${changed.message}${at < 0 ? "" : error.stack.slice(at)}`;
  return changed;
}

function located(root, name) {
  const plain = path.resolve(root, name);
  for (const extension of ["", ".js", ".mjs", ".cjs"]) {
    if (existsSync(plain + extension) && (extension !== "" || path.extname(plain))) return plain + extension;
  }
  const require = createRequire(path.join(process.env.LAMBDA_RUNTIME_DIR, "index.mjs"));
  return require.resolve(existsSync(plain) ? plain : name, { paths: [root] });
}

function isModule(root, file) {
  if (file.endsWith(".mjs")) return true;
  if (!file.endsWith(".js")) return false;
  for (let directory = path.dirname(file); ; directory = path.dirname(directory)) {
    const manifest = path.join(directory, "package.json");
    if (existsSync(manifest)) return JSON.parse(readFileSync(manifest, "utf8")).type === "module";
    if (directory === root || directory === path.dirname(directory)) return false;
  }
}

module.exports = { load, named };
