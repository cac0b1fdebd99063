// awslambda.streamifyResponse: a handler that writes its answer piece by piece.
"use strict";
const { Writable } = require("node:stream");

const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");
const INTEGRATION = "application/vnd.awslambda.http-integration-response";
const PRELUDE_END = Buffer.alloc(8);

function isStreaming(handler) {
  return handler[STREAMING] === "response";
}

function installStreaming() {
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[STREAMING] = "response";
      if (typeof options?.highWaterMark === "number") handler[HIGH_WATER_MARK] = options.highWaterMark;
      return handler;
    },
    HttpResponseStream: {
      from(stream, metadata) {
        stream.setContentType(INTEGRATION);
        stream.write(JSON.stringify(metadata));
        stream.write(PRELUDE_END);
        return stream;
      },
    },
  };
}

class ResponseStream extends Writable {
  constructor(address, id) {
    super();
    this.contentType = "application/octet-stream";
    this.address = address;
    this.id = id;
    this.done = new Promise((resolve, reject) => {
      this.accepted = resolve;
      this.refused = reject;
    });
    this.done.catch(() => {}); // whoever waits for it hears of it
  }

  setContentType(type) {
    if (this.posted) throw new Error("Cannot set content-type, too late.");
    this.contentType = type;
  }

  open(extra = {}) {
    if (this.posted) return this.posted;
    const { request } = require("node:http"); // not before a function streams
    const [host, port] = this.address.split(":");
    const headers = {
      "Content-Type": this.contentType,
      "Lambda-Runtime-Function-Response-Mode": "streaming",
      "Transfer-Encoding": "chunked",
      Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
      ...extra,
    };
    this.posted = request({ host, port, method: "POST", path: `/2018-06-01/runtime/invocation/${this.id}/response`, headers, agent: false });
    this.posted.on("response", (answer) => answer.resume().on("end", this.accepted));
    this.posted.on("error", this.refused);
    return this.posted;
  }

  // What is neither text nor bytes is written as JSON, as on AWS.
  write(chunk, ...rest) {
    const bare = typeof chunk === "string" || chunk === null || ArrayBuffer.isView(chunk);
    return super.write(bare ? chunk : JSON.stringify(chunk), ...rest);
  }

  _write(chunk, encoding, callback) {
    this.open().write(chunk, encoding, () => callback());
  }

  _final(callback) {
    this.open().end(callback);
  }

  // The handler failed: what was written has gone out, the error follows in the trailers.
  abort(described) {
    const body = JSON.stringify(described);
    const posted = this.open();
    posted.addTrailers({
      "Lambda-Runtime-Function-Error-Type": String(described.errorType),
      "Lambda-Runtime-Function-Error-Body": Buffer.from(body).toString("base64"),
    });
    posted.end();
    return this.done;
  }
}

module.exports = { isStreaming, installStreaming, ResponseStream };
