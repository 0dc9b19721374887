// verify.js - check signatures with code that is not ours: of v1 with the npm
// package `standardwebhooks`, of v1a, which that does not know, with node.
//
// usage: node verify.js build/node <requests.json
//
// On standard input a list of {key, headers, body}, the body in base64; on
// standard output, in the same order, a list of "ok" and of reasons why not.

"use strict";

const crypto = require("crypto");
const fs = require("fs");
const path = require("path");

const modules = path.resolve(process.argv[2], "node_modules");
const { Webhook } = require(path.join(modules, "standardwebhooks"));

// In front of the 32 bytes of an ed25519 public key (RFC 8410).
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

function verifyV1a(key, headers, body) {
  const raw = Buffer.from(key.slice("whpk_".length), "base64");
  const publicKey = crypto.createPublicKey({
    key: Buffer.concat([SPKI, raw]), format: "der", type: "spki",
  });
  const head = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`;
  const signed = Buffer.concat([Buffer.from(head), body]);
  for (const one of headers["webhook-signature"].split(" ")) {
    const [version, signature] = one.split(",");
    if (version === "v1a" && crypto.verify(null, signed, publicKey,
        Buffer.from(signature, "base64")))
      return;
  }
  throw new Error("No matching signature found");
}

function verify({ key, headers, body }) {
  const bytes = Buffer.from(body, "base64");
  try {
    if (key.startsWith("whpk_"))
      verifyV1a(key, headers, bytes);
    else
      new Webhook(key).verify(bytes, headers);
    return "ok";
  } catch (error) {
    return error.message;
  }
}

const requests = JSON.parse(fs.readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(requests.map(verify)) + "\n");
