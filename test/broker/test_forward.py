"""forward_connection_opts: what logins tell of listener and certificate."""

import base64
import os
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile

import mqtt
from endpoint import NEXT, kept, ok
from host import BrokerTest, endpoint_conf, free_port

LOGIN = ("auth_on_register", "auth_on_register_m5")
MEMBERS = ("client_cert", "listener_addr", "listener_port", "listener_type")
FORWARD = {"vmq_webhooks.forward_connection_opts": "on"}


class Authority:
    """Certificates of a test: an authority, a server, any client."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="vmqca")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", "/CN=authority", "-keyout", "ca.key", "-out",
                     "ca.crt")
        self.issue("server", "-addext", "subjectAltName=IP:127.0.0.1")

    def openssl(self, *args):
        subprocess.run(("openssl",) + args, cwd=self.dir, check=True,
                       capture_output=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def issue(self, name, *more):
        """NAME.crt and NAME.key."""
        self.openssl("req", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-subj",
                     "/CN=" + name, "-keyout", name + ".key", "-out",
                     name + ".csr", *more)
        self.openssl("x509", "-req", "-in", name + ".csr", "-days", "2",
                     "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                     "-copy_extensions", "copy", "-out", name + ".crt")
        return self

    def der(self, name):
        with open(self.path(name + ".crt")) as f:
            return ssl.PEM_cert_to_DER_cert(f.read())

    def listener(self, port, require=True, *more):
        return ["listener %d 127.0.0.1" % port,
                "cafile " + self.path("ca.crt"),
                "certfile " + self.path("server.crt"),
                "keyfile " + self.path("server.key"),
                "require_certificate " + ("true" if require else "false")
                ] + list(more)

    def context(self, name=None):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if name:
            context.load_cert_chain(self.path(name + ".crt"),
                                    self.path(name + ".key"))
        return context


class TlsClient(mqtt.Client):
    """Over TLS, with a certificate or without."""

    def __init__(self, *args, context=None, **kw):
        super().__init__(*args, **kw)
        self.context = context

    def open(self):
        super().open()
        if self.context:
            self.sock = self.context.wrap_socket(self.sock,
                                                 server_hostname="127.0.0.1")
        return self


class Frames:
    """A socket of which recv() gives the content of websocket frames."""

    def __init__(self, sock):
        self.sock = sock

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def recv(self, _):
        kind, length = self.exactly(2)
        if length == 126:
            length = struct.unpack(">H", self.exactly(2))[0]
        data = self.exactly(length)
        return data if kind & 15 in (0, 2) else b""

    def sendall(self, data):
        self.sock.sendall(b"\x82" + (
            bytes([0x80 | len(data)]) if len(data) < 126 else
            b"\xfe" + struct.pack(">H", len(data))) + b"\0\0\0\0" + data)


class WebClient(TlsClient):

    def open(self):
        super().open()
        self.sock.sendall(
            b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.sock.recv(1)
            if not more:
                raise AssertionError("no websocket: %r" % head)
            head += more
        self.sock = Frames(self.sock)
        return self


class UnixClient(mqtt.Client):

    def open(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.port)
        return self


class Forward(BrokerTest):

    def setUp(self):
        super().setUp()
        self.ca = None

    def authority(self, *clients):
        self.ca = Authority()
        self.addCleanup(shutil.rmtree, self.ca.dir, True)
        for name in clients:
            self.ca.issue(name)
        return self.ca

    def log_in(self, port, version=4, kind=TlsClient, client_id="c1", **kw):
        c = kind(port, client_id, version, **kw)
        self.addCleanup(c.close)
        c.connect("u", "p")
        return c

    def told(self, request):
        """The members that are there, of the four."""
        return {k: v for k, v in request.body.items() if k in MEMBERS}

    def port(self, port):
        return port if self.v21 else None

    def test_with_a_certificate(self):
        ca, port = self.authority("device"), free_port()
        ep = self.endpoint()
        b = self.hooked(ep, LOGIN, FORWARD, lines=ca.listener(port))
        for version in (4, 5):
            self.log_in(port, version, context=ca.context("device"))
            r = ep.wait_for(self.hook("auth_on_register", version))
            self.assertEqual(self.told(r), {
                "client_cert": base64.b64encode(ca.der("device")).decode(),
                "listener_addr": None, "listener_port": self.port(port),
                "listener_type": "mqtts"})
            self.assertEqual(r["peer_addr"], "127.0.0.1")
        self.assertEqual(b.log_count("client_cert"), 0)

    def test_while_the_broker_waits(self):
        ca, port = self.authority("device"), free_port()
        ep = self.endpoint()
        self.broker(endpoint_conf(ep.url, LOGIN, blocking="on",
                                  forward_connection_opts="on"),
                    lines=ca.listener(port))
        self.log_in(port, context=ca.context("device"))
        r = ep.wait_for("auth_on_register")
        self.assertEqual(base64.b64decode(r["client_cert"]),
                         ca.der("device"))

    def test_raw(self):
        """A DER certificate is no text: every bad byte is U+FFFD."""
        ca, port = self.authority("device"), free_port()
        ep = self.endpoint()
        self.broker(endpoint_conf(ep.url, LOGIN, base64encode="off",
                                  forward_connection_opts="on"),
                    lines=ca.listener(port))
        self.log_in(port, context=ca.context("device"))
        cert = ep.wait_for("auth_on_register")["client_cert"]
        self.assertEqual(cert[:2], "0\ufffd")
        self.assertIn("authority", cert)

    def test_without_a_certificate(self):
        """TLS or not: the host does not tell."""
        ca, port = self.authority(), free_port()
        ep = self.endpoint()
        b = self.hooked(ep, LOGIN, FORWARD,
                        lines=ca.listener(port, False))
        for i, (p, context) in enumerate(((port, ca.context()),
                                          (b.port, None))):
            self.log_in(p, context=context)
            r = ep.wait_for("auth_on_register", i + 1)
            self.assertEqual(self.told(r), {
                "listener_addr": None, "listener_port": self.port(p),
                "listener_type": None})

    def test_unix_socket(self):
        ep = self.endpoint()
        b = self.hooked(ep, LOGIN, FORWARD,
                        lines=["listener 0 @DIR@/mqtt.sock"])
        self.log_in(b.path("mqtt.sock"), kind=UnixClient)
        self.assertEqual(self.told(ep.wait_for("auth_on_register")), {
            "listener_addr": "local", "listener_port": self.port(0),
            "listener_type": None})

    def test_websockets(self):
        ca, port, plain = self.authority("device"), free_port(), free_port()
        ep = self.endpoint()
        self.hooked(ep, LOGIN, FORWARD, lines=ca.listener(
            port, True, "protocol websockets") + [
                "listener %d 127.0.0.1" % plain, "protocol websockets"])
        self.log_in(port, kind=WebClient, context=ca.context("device"))
        self.assertEqual(self.told(ep.wait_for("auth_on_register")), {
            "client_cert": base64.b64encode(ca.der("device")).decode(),
            "listener_addr": None, "listener_port": self.port(port),
            "listener_type": "mqttwss"})
        self.log_in(plain, kind=WebClient)
        self.assertEqual(self.told(ep.wait_for("auth_on_register", 2)), {
            "listener_addr": None, "listener_port": self.port(plain),
            "listener_type": None})

    def test_after_an_exchange(self):
        """auth_on_register_m5 behind on_auth_m5."""
        ca, port = self.authority("device"), free_port()
        ep = self.endpoint()
        ep.answers["on_auth_m5"] = ok(reason_code=0)
        self.hooked(ep, LOGIN + ("on_auth_m5",), FORWARD,
                    lines=ca.listener(port))
        c = TlsClient(port, "c1", 5, context=ca.context("device"))
        self.addCleanup(c.close)
        c.open()
        c.send_connect("u", properties={"p_authentication_method": "M"})
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        r = ep.wait_for("auth_on_register_m5")
        self.assertEqual(base64.b64decode(r["client_cert"]),
                         ca.der("device"))
        self.assertEqual(self.told(ep.wait_for("on_auth_m5")), {})

    def test_only_who_wants_it(self):
        ca, port = self.authority("device"), free_port()
        ep, other = self.endpoint(), self.endpoint()
        conf = endpoint_conf(ep.url, LOGIN, "a")
        conf.update(endpoint_conf(other.url, LOGIN, "b",
                                  forward_connection_opts="on"))
        conf.update(endpoint_conf(ep.url, ("on_register",), "c"))
        self.broker(conf, lines=ca.listener(port))
        ep.answers["auth_on_register"] = NEXT
        self.log_in(port, context=ca.context("device"))
        self.assertEqual(self.told(ep.wait_for("auth_on_register")), {})
        self.assertEqual(len(self.told(other.wait_for("auth_on_register"))),
                         4)
        self.assertEqual(self.told(ep.wait_for("on_register")), {})

    def test_nobody_by_default(self):
        ca, port = self.authority("device"), free_port()
        ep = self.endpoint()
        self.hooked(ep, LOGIN, lines=ca.listener(port))
        for version in (4, 5):
            self.log_in(port, version, context=ca.context("device"))
            r = ep.wait_for(self.hook("auth_on_register", version))
            self.assertEqual(self.told(r), {})

    def test_another_certificate_is_another_question(self):
        ca, port = self.authority("one", "two"), free_port()
        ep = self.endpoint()
        ep.answers["auth_on_register"] = kept(60)
        self.hooked(ep, LOGIN, FORWARD, lines=ca.listener(port))
        for name, calls in (("one", 1), ("one", 1), ("two", 2), ("one", 2),
                            ("two", 2)):
            c = self.log_in(port, context=ca.context(name))
            c.disconnect()
            self.assertEqual(ep.count("auth_on_register"), calls)

    def test_certificates_are_given_back(self):
        """With 20 kB in each, a few hundred that were kept would show."""
        ca, port = self.authority(), free_port()
        ca.issue("big", "-addext", "nsComment=" + "x" * 20000)
        ep = self.endpoint()
        ep.answers["auth_on_register"] = kept(60)
        b = self.hooked(ep, LOGIN, FORWARD, lines=ca.listener(port))
        context = ca.context("big")
        rounds = 300 if self.scale == 1 else 20
        for i in range(rounds):
            c = self.log_in(port, context=context)
            c.disconnect()
            c.close()
            if i == rounds // 3:
                before = b.rss()
        if self.scale == 1:     # a sanitizer holds on to memory
            self.assertLess(b.rss() - before, 3000)
        r = ep.wait_for("auth_on_register")
        self.assertEqual(base64.b64decode(r["client_cert"]), ca.der("big"))

    def test_it_is_for_logins(self):
        b = self.unstarted(endpoint_conf("http://127.0.0.1:1/",
                                         ("on_publish",),
                                         forward_connection_opts="on"))
        self.has(b.refused(), "forward_connection_opts is for")
