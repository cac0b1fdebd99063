/* A client of the API "%NAME%", made by GetSdk. For browsers (<script src="apigClient.js">) and Node 18 and newer (require).
 *
 *   const client = apigClientFactory.newClient({ apiKey: "…", accessKey: "…", secretKey: "…", sessionToken: "…", region: "…" });
 *   client.petsPetIdGet({ petId: "7" }, undefined, { headers: {}, queryParams: {} }).then((answer) => answer.data);
 *
 * Every method takes the parameters of its path, query and headers by name, a body, and further headers and query parameters; it gives
 * { status, statusText, headers, data } and fails with an error that has the same as `response` when the status is no success.
 */
(function (root) {
  "use strict";

  const INVOKE_URL = "%URL%";
  const REGION = "%REGION%";
  const METHODS = %METHODS%;

  const bytes = (text) => new TextEncoder().encode(text);
  const hex = (buffer) => Array.from(new Uint8Array(buffer), (one) => one.toString(16).padStart(2, "0")).join("");
  const quote = (text) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (one) => "%" + one.charCodeAt(0).toString(16).toUpperCase());

  async function sha256(data) {
    return hex(await root.crypto.subtle.digest("SHA-256", data));
  }

  async function hmac(key, text) {
    const made = await root.crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return root.crypto.subtle.sign("HMAC", made, bytes(text));
  }

  /* Signature version 4. */
  async function sign(method, url, query, headers, body, config) {
    const date = new Date().toISOString().replace(/[:-]|\.\d{3}/g, "");
    const scope = date.slice(0, 8) + "/" + (config.region || REGION) + "/execute-api/aws4_request";
    const signed = { host: url.host, "x-amz-date": date };
    if (config.sessionToken) signed["x-amz-security-token"] = config.sessionToken;
    const names = Object.keys(signed).sort();
    const path = url.pathname.split("/").map(quote).join("/");
    const canonical = [
      method,
      path,
      query,
      ...names.map((name) => name + ":" + signed[name]),
      "",
      names.join(";"),
      await sha256(bytes(body === undefined ? "" : body)),
    ].join("\n");
    const text = ["AWS4-HMAC-SHA256", date, scope, await sha256(bytes(canonical))].join("\n");
    let key = bytes("AWS4" + config.secretKey);
    for (const part of scope.split("/")) key = await hmac(key, part);
    const signature = hex(await hmac(key, text));
    headers["x-amz-date"] = date;
    if (config.sessionToken) headers["x-amz-security-token"] = config.sessionToken;
    headers.authorization =
      "AWS4-HMAC-SHA256 Credential=" + config.accessKey + "/" + scope + ", SignedHeaders=" + names.join(";") + ", Signature=" + signature;
  }

  async function call(config, method, params, body, more) {
    params = params || {};
    more = more || {};
    const headers = Object.assign({ accept: config.defaultAcceptType }, more.headers);
    const query = Object.assign({}, more.queryParams);
    for (const name of method.query) if (params[name] !== undefined) query[name] = params[name];
    for (const name of method.header) if (params[name] !== undefined) headers[name] = params[name];
    const path = method.path.replace(/\{([^}+]+)(\+?)\}/g, (whole, name, greedy) => {
      if (params[name] === undefined) throw new Error("the parameter " + name + " is missing");
      return greedy ? String(params[name]).split("/").map(quote).join("/") : quote(params[name]);
    });
    const url = new URL(config.url.replace(/\/$/, "") + path);
    const pairs = Object.keys(query).flatMap((name) => [].concat(query[name]).map((value) => quote(name) + "=" + quote(value)));
    const search = pairs.sort().join("&");
    let sent;
    if (body !== undefined && body !== null && method.verb !== "GET" && method.verb !== "HEAD") {
      sent = typeof body === "string" ? body : JSON.stringify(body);
      if (!Object.keys(headers).some((name) => name.toLowerCase() === "content-type")) headers["content-type"] = config.defaultContentType;
    }
    if (config.apiKey) headers["x-api-key"] = config.apiKey;
    if (method.iam && config.accessKey) await sign(method.verb, url, search, headers, sent, config);
    const answer = await root.fetch(url.href + (search ? "?" + search : ""), { method: method.verb, headers, body: sent });
    const text = await answer.text();
    let data = text;
    try {
      data = JSON.parse(text);
    } catch (error) {
      data = text;
    }
    const response = { status: answer.status, statusText: answer.statusText, headers: Object.fromEntries(answer.headers), data };
    if (!answer.ok) throw Object.assign(new Error("Request failed with status code " + answer.status), { response });
    return response;
  }

  const apigClientFactory = {
    newClient: function (given) {
      const defaults = { defaultContentType: "application/json", defaultAcceptType: "application/json", url: INVOKE_URL };
      const config = Object.assign(defaults, given);
      const client = {};
      for (const name of Object.keys(METHODS)) client[name] = (params, body, more) => call(config, METHODS[name], params, body, more);
      return client;
    },
  };

  root.apigClientFactory = apigClientFactory;
  if (typeof module !== "undefined" && module.exports) module.exports = apigClientFactory;
})(typeof globalThis === "undefined" ? window : globalThis);
