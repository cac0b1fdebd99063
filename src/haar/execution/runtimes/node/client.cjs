// The Runtime API over one connection that is kept. An answer and the question for the next event go out together.
"use strict";
const { connect } = require("node:net");

const PREFIX = "/2018-06-01/runtime/";
const NEXT = `GET ${PREFIX}invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n`;

function post(path, body, headers = "") {
  return `POST ${PREFIX}${path} HTTP/1.1\r\nHost: runtime\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

class RuntimeClient {
  constructor(address) {
    this.address = address;
    this.received = Buffer.alloc(0);
    this.waiting = [];
    this.socket = open(address, (data) => this.read(data), (error) => this.lost(error));
  }

  idle() {
    this.socket.unref();
  }

  async next() {
    return event(await this.send(NEXT, 1));
  }

  async respond(id, body) {
    return event(await this.send(post(`invocation/${id}/response`, body) + NEXT, 2));
  }

  async fail(id, described) {
    return event(await this.send(post(`invocation/${id}/error`, JSON.stringify(described), kind(described)) + NEXT, 2));
  }

  initFailed(described) {
    return this.send(post("init/error", JSON.stringify(described), kind(described)), 1);
  }

  // Not on the kept connection: there, something may still be under way.
  failApart(id, described) {
    const apart = new RuntimeClient(this.address);
    return apart.send(post(`invocation/${id}/error`, JSON.stringify(described), kind(described)), 1);
  }

  send(text, answers) {
    this.socket.ref();
    return new Promise((resolve, reject) => {
      this.waiting.push({ answers, resolve, reject });
      this.socket.write(text);
    });
  }

  read(data) {
    this.received = this.received.length ? Buffer.concat([this.received, data]) : data;
    for (;;) {
      const end = this.received.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [first, ...lines] = this.received.toString("utf8", 0, end).split("\r\n");
      const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]));
      const length = Number(headers["content-length"] ?? 0);
      if (this.received.length < end + 4 + length) return;
      const body = this.received.toString("utf8", end + 4, end + 4 + length);
      this.received = this.received.subarray(end + 4 + length);
      const [waiter] = this.waiting;
      if (waiter && --waiter.answers === 0) {
        this.waiting.shift();
        waiter.resolve({ status: Number(first.split(" ")[1]), headers, body });
      }
    }
  }

  lost(error) {
    for (const waiter of this.waiting.splice(0)) waiter.reject(error ?? new Error("the Runtime API has closed its connection"));
  }
}

function kind(described) {
  return `Lambda-Runtime-Function-Error-Type: ${String(described.errorType).replace(/[^\x20-\x7e]/g, "?")}\r\n`;
}

function open(address, read, lost) {
  const [host, port] = address.split(":");
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.on("data", read);
  socket.on("error", lost);
  socket.on("close", () => lost());
  return socket;
}

function event({ headers, body }) {
  return {
    id: headers["lambda-runtime-aws-request-id"],
    deadline: Number(headers["lambda-runtime-deadline-ms"]),
    arn: headers["lambda-runtime-invoked-function-arn"],
    traceId: headers["lambda-runtime-trace-id"],
    clientContext: headers["lambda-runtime-client-context"],
    body,
  };
}

module.exports = { post, RuntimeClient };
