"""An HTTP endpoint that answers as a test tells it, and keeps a diary.

HTTP/1.1 with keep-alive on real sockets, one thread a connection. Each
request is recorded in order of arrival before it is answered.

    ep = Endpoint().start()
    ep.answers["auth_on_publish"] = ok(topic="new/topic")
    ep.answers["on_publish"] = stall = Stall()
    ...
    ep.wait_for("on_publish", 3)
    stall.release()

An answer is a dict (the JSON body of a 200), a str or bytes (its body as it
stands), a tuple (status, headers, body), one of the behaviours below, a
function of the request that returns any of these, or a list of them for one
request after another, whose last entry stays. Hooks without an answer get
{"result": "ok"} when they ask and {} when they tell.
"""

import json
import select
import socket
import struct
import threading
import time

from mqtt import time_scale

OK = {"result": "ok"}
NEXT = {"result": "next"}
DENY = {"result": {"error": "not_allowed"}}

ASKING = ("auth_on_register", "auth_on_publish", "auth_on_subscribe",
          "on_unsubscribe", "on_deliver", "on_auth")
REASON = {200: "OK", 201: "Created", 204: "No Content", 301: "Moved",
          302: "Found", 307: "Temporary Redirect"}


def ok(**modifiers):
    """An accepting reply with modifiers."""
    return {"result": "ok", "modifiers": modifiers}


def kept(seconds, answer=None):
    """An answer that may be cached."""
    return 200, {"Cache-Control": "max-age=%s" % seconds}, OK if answer is None else answer


def normalise(answer):
    """(status, headers, body bytes) of a plain answer."""
    status, headers = 200, {}
    if isinstance(answer, tuple):
        status, headers, answer = answer
    if isinstance(answer, str):
        answer = answer.encode()
    elif not isinstance(answer, (bytes, bytearray)):
        answer = json.dumps(answer).encode()
    return status, headers, bytes(answer)


class Request:
    """One request as it came in."""

    def __init__(self, method, path, headers, raw, connection):
        self.method, self.path = method, path
        self.headers = headers          # pairs in order, as sent
        self.raw = raw
        self.connection = connection    # 1 for the first accepted
        self.time = time.monotonic()
        self.hook = self.header("vernemq-hook")
        try:
            self.body = json.loads(raw)
        except ValueError:
            self.body = None

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def __getitem__(self, key):
        return self.body[key]

    def __repr__(self):
        return "<%s %s #%d %s>" % (self.method, self.hook, self.connection,
                                   self.raw.decode("utf-8", "replace"))


class Stall:
    """Keep the request waiting until release(), then answer."""

    def __init__(self, then=None):
        self.then = then
        self.event = threading.Event()
        self.lock = threading.Lock()
        self.held = 0       # requests waiting now
        self.sent = 0       # answered since

    def release(self):
        self.event.set()

    def count(self, held=0, sent=0):
        with self.lock:
            self.held += held
            self.sent += sent

    def run(self, connection, request, default):
        self.count(held=1)
        try:
            while not self.event.wait(0.01):
                if not connection.peer_is_there():
                    return False
        finally:
            self.count(held=-1)
        answer = default if self.then is None else self.then
        goes_on = connection.answer(request, answer, default)
        self.count(sent=1)
        return goes_on


class Delay:
    """Answer after some seconds."""

    def __init__(self, seconds, then=None):
        self.seconds, self.then = seconds, then

    def run(self, connection, request, default):
        time.sleep(self.seconds)
        answer = default if self.then is None else self.then
        return connection.answer(request, answer, default)


class Drop:
    """Close without a word."""

    def run(self, connection, request, default):
        return False


class Reset:
    """Close with a reset."""

    def run(self, connection, request, default):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        return False


class Raw:
    """Send these bytes in place of a response."""

    def __init__(self, data, close=False):
        self.data, self.close = data, close

    def run(self, connection, request, default):
        connection.sock.sendall(self.data)
        return not self.close


class Drip:
    """Answer properly, but byte by byte with a pause after each."""

    def __init__(self, seconds, then=None):
        self.seconds, self.then = seconds, then

    def run(self, connection, request, default):
        answer = default if self.then is None else self.then
        for byte in response(*normalise(answer)):
            connection.sock.sendall(bytes([byte]))
            time.sleep(self.seconds)
            if not connection.peer_is_there():
                return False
        return True


def response(status, headers, body):
    head = "HTTP/1.1 %d %s\r\n" % (status, REASON.get(status, "Whatever"))
    fields = {"Content-Type": "application/json",
              "Content-Length": str(len(body))}
    fields.update(headers)
    for name, value in fields.items():
        head += "%s: %s\r\n" % (name, value)
    return head.encode() + b"\r\n" + body


class Connection:
    """One accepted connection, served by a thread of its own."""

    def __init__(self, endpoint, sock, number):
        self.endpoint, self.sock, self.number = endpoint, sock, number
        self.buf = b""
        self.served = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def peer_is_there(self):
        if not select.select([self.sock], [], [], 0)[0]:
            return True
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def serve(self):
        try:
            while True:
                request = self.read()
                if request is None:
                    break
                if not self.endpoint.handle(self, request):
                    break
        except OSError:
            pass
        finally:
            self.sock.close()
            self.endpoint.gone(self)

    def fill(self):
        data = self.sock.recv(65536)
        self.buf += data
        return bool(data)

    def idles(self):
        """Wait for the next request for as long as the endpoint would: false
        when that was too long, and then the connection is closed."""
        idle = self.endpoint.idle
        if idle is None or not self.served or self.buf:
            return True
        select.select([self.sock], [], [], idle)
        if select.select([self.sock], [], [], 0)[0]:
            return True
        # What comes from here on is turned away by the kernel. What it took
        # a moment before, nobody can know to be unread but us.
        self.sock.shutdown(socket.SHUT_RDWR)
        if self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            self.endpoint.torn += 1
        return False

    def read(self):
        if not self.idles():
            return None
        self.served += 1
        while b"\r\n\r\n" not in self.buf:
            if not self.fill():
                return None
        head, _, self.buf = self.buf.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        length = int(dict((k.lower(), v) for k, v in headers)
                     .get("content-length", 0))
        while len(self.buf) < length:
            if not self.fill():
                return None
        raw, self.buf = self.buf[:length], self.buf[length:]
        return Request(method, path, headers, raw, self.number)

    def answer(self, request, answer, default):
        """Act out an answer. False ends the connection."""
        if callable(answer):
            answer = answer(request)
        if answer is None:
            answer = default
        if hasattr(answer, "run"):
            return answer.run(self, request, default)
        self.sock.sendall(response(*normalise(answer)))
        return True


class Endpoint:
    """A listening endpoint and its diary."""

    def __init__(self, port=0, path="/hook", name="endpoint", idle=None,
                 **answers):
        self.answers = answers
        self.idle = idle        # seconds until a kept connection is closed
        self.torn = 0           # requests that came at that very moment
        self.path, self.name = path, name
        self.port = port
        self.changed = threading.Condition()
        self.requests = []
        self.accepted = 0
        self.most_open = 0
        self.connections = {}
        self.turns = {}
        self.listener = None

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,),
                         daemon=True).start()
        return self

    def stop(self):
        """Stop listening and drop every connection."""
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
        with self.changed:
            everybody = list(self.connections.values())
        for connection in everybody:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for connection in everybody:
            connection.thread.join(2)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    @property
    def url(self):
        return "http://127.0.0.1:%d%s" % (self.port, self.path)

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.accepted += 1
                connection = Connection(self, sock, self.accepted)
                self.connections[connection.number] = connection
                self.most_open = max(self.most_open, len(self.connections))
                connection.thread.start()
                self.changed.notify_all()

    def gone(self, connection):
        with self.changed:
            self.connections.pop(connection.number, None)
            self.changed.notify_all()

    def handle(self, connection, request):
        with self.changed:
            self.requests.append(request)
            answer = self.answers.get(request.hook, self.answers.get("*"))
            if isinstance(answer, list):
                key = request.hook, id(answer)
                turn = self.turns.get(key, 0)
                self.turns[key] = turn + 1
                answer = answer[min(turn, len(answer) - 1)]
            self.changed.notify_all()
        hook = request.hook or ""
        base = hook[:-3] if hook.endswith("_m5") else hook
        default = OK if base in ASKING else {}
        return connection.answer(request, answer, default)

    # -- the diary --------------------------------------------------------

    def of(self, hook=None, **match):
        """Recorded requests of a hook whose body has these members."""
        with self.changed:
            return [r for r in self.requests
                    if (hook is None or r.hook == hook) and
                    all((r.body or {}).get(k) == v
                        for k, v in match.items())]

    def count(self, hook=None, **match):
        return len(self.of(hook, **match))

    def hooks(self, **match):
        """The hooks in order of arrival."""
        return [r.hook for r in self.of(**match)]

    def wait_until(self, true, what, timeout=5.0):
        limit = timeout * time_scale()
        with self.changed:
            if not self.changed.wait_for(true, limit):
                raise AssertionError("%s: no %s in %.1f s; got %r" %
                                     (self.name, what, limit, self.requests))

    def wait_for(self, hook, n=1, timeout=5.0, **match):
        """At least `n` requests of a hook; returns the n-th."""
        self.wait_until(lambda: self.count(hook, **match) >= n,
                        "%d x %s %s" % (n, hook, match or ""), timeout)
        return self.of(hook, **match)[n - 1]

    def open_connections(self):
        with self.changed:
            return len(self.connections)

    def wait_open(self, n, timeout=5.0):
        """Wait until exactly `n` connections are open."""
        self.wait_until(lambda: len(self.connections) == n,
                        "%d open connections (now %d)" %
                        (n, len(self.connections)), timeout)

    def forget(self):
        """Start the diary anew."""
        with self.changed:
            self.requests = []


class Closed:
    """A port of which it is certain that nobody listens."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.url = "http://127.0.0.1:%d/" % self.port

    def stop(self):
        self.sock.close()
