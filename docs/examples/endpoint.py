#!/usr/bin/env python3
"""An example endpoint for vmq_webhooks: python3 docs/examples/endpoint.py 8080

The broker sends one HTTP POST per event. The header "vernemq-hook" names the
event, the body describes it in JSON, and the body of the answer decides:

    {"result": "ok"}                        allowed
    {"result": "ok", "modifiers": {...}}    allowed, but changed
    {"result": "next"}                      no opinion: ask the next endpoint
    {"result": {"error": "why"}}            refused
    {}                                      for the on_... events: just noted

Here user joe with password secret gets in and may do anything, and what is
published on demo/rewrite arrives on demo/rewritten with another payload.
Port 0 takes any free port; the first line of output says which.
"""

import base64
import http.server
import json
import socketserver
import sys

PASSWORDS = {"joe": "secret"}


def auth_on_register(event):
    """May this client connect? Never cached, so that every login is seen."""
    user, password = event["username"], event["password"]
    if user in PASSWORDS and password == PASSWORDS[user]:
        return {"result": "ok"}, {}
    return {"result": {"error": "bad user name or password"}}, {}


def auth_on_publish(event):
    """May this message pass, and as what? Payloads travel in base64."""
    if event["topic"] != "demo/rewrite":
        return {"result": "ok"}, {}
    text = b"rewritten by the endpoint: " + base64.b64decode(event["payload"])
    changes = {"topic": "demo/rewritten",
               "payload": base64.b64encode(text).decode()}
    return {"result": "ok", "modifiers": changes}, {}


def auth_on_subscribe(event):
    """May this client subscribe? The plugin need not ask again for 10 s."""
    return {"result": "ok"}, {"Cache-Control": "max-age=10"}


# The hooks for MQTT 5 have names of their own, ending in _m5.
DECISIONS = {
    "auth_on_register": auth_on_register,
    "auth_on_register_m5": auth_on_register,
    "auth_on_publish": auth_on_publish,
    "auth_on_publish_m5": auth_on_publish,
    "auth_on_subscribe": auth_on_subscribe,
    "auth_on_subscribe_m5": auth_on_subscribe,
}


def show(hook, event):
    """Print one event as one line, at once and without the password."""
    if event.get("password") is not None:
        event = dict(event, password="***")
    line = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    sys.stdout.write(hook + " " + line + "\n")
    sys.stdout.flush()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"       # keeps connections open
    disable_nagle_algorithm = True      # sends small answers at once
    wbufsize = -1                       # and each in one piece

    def do_POST(self):
        hook = self.headers.get("vernemq-hook", "")
        try:
            length = int(self.headers["Content-Length"])
            event = json.loads(self.rfile.read(length))
            show(hook, event)
            decide = DECISIONS.get(hook, lambda event: ({}, {}))
            answer, headers = decide(event)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self.close_connection = True
            self.answer(400, {"error": repr(error)}, {"Connection": "close"})
            return
        self.answer(200, answer, headers)

    def answer(self, status, content, headers):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass                            # show() says it better


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    with Server(("127.0.0.1", port), Handler) as server:
        print("listening on http://127.0.0.1:%d" % server.server_address[1],
              flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
