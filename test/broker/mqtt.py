"""A small MQTT client on a raw socket: 3.1 (3), 3.1.1 (4) and 5.

Every field is under the caller's control and nothing happens behind its
back, except that received QoS 1 and 2 messages are acknowledged unless
`auto_ack` is off. One thread, no reader in the background: packets are read
while somebody waits for one.

Decoded packets are dicts in the form of the golden conversations:
{"type": "CONNACK", "session_present": 0, "rc": 0}. Text is a str, bytes that
are not UTF-8 are {"$b64": "..."}. The end of the connection is a packet, too:
{"type": "CLOSED"}.
"""

import base64
import os
import select
import socket
import struct
import time

NAMES = [None, "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL",
         "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK",
         "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"]
CODE = {name: i for i, name in enumerate(NAMES) if name}
CLOSED = {"type": "CLOSED"}

# identifier, name, type
PROPERTIES = [
    (0x01, "p_payload_format_indicator", "u8"),
    (0x02, "p_message_expiry_interval", "u32"),
    (0x03, "p_content_type", "str"),
    (0x08, "p_response_topic", "str"),
    (0x09, "p_correlation_data", "bin"),
    (0x0B, "p_subscription_id", "ids"),
    (0x11, "p_session_expiry_interval", "u32"),
    (0x12, "p_assigned_client_id", "str"),
    (0x13, "p_server_keep_alive", "u16"),
    (0x15, "p_authentication_method", "str"),
    (0x16, "p_authentication_data", "bin"),
    (0x17, "p_request_problem_info", "u8"),
    (0x18, "p_will_delay_interval", "u32"),
    (0x19, "p_request_response_info", "u8"),
    (0x1A, "p_response_info", "str"),
    (0x1C, "p_server_ref", "str"),
    (0x1F, "p_reason_string", "str"),
    (0x21, "p_receive_max", "u16"),
    (0x22, "p_topic_alias_max", "u16"),
    (0x23, "p_topic_alias", "u16"),
    (0x24, "p_max_qos", "u8"),
    (0x25, "p_retain_available", "u8"),
    (0x26, "p_user_property", "pairs"),
    (0x27, "p_max_packet_size", "u32"),
    (0x28, "p_wildcard_subs_available", "u8"),
    (0x29, "p_sub_ids_available", "u8"),
    (0x2A, "p_shared_subs_available", "u8"),
]
BY_NAME = {name: (ident, kind) for ident, name, kind in PROPERTIES}
BY_ID = {ident: (name, kind) for ident, name, kind in PROPERTIES}
NUMBER = {"u8": ">B", "u16": ">H", "u32": ">I"}


class Unexpected(AssertionError):
    """The broker did not send what the test waits for."""


def time_scale():
    """How much slower than usual the broker runs (valgrind, sanitizers)."""
    return float(os.environ.get("TIME_SCALE", "1"))


def to_bytes(value):
    """Bytes of a str, bytes or {"$b64": ...}."""
    if value is None:
        return b""
    if isinstance(value, dict):
        return base64.b64decode(value["$b64"])
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return bytes(value)


def from_bytes(data):
    """The JSON form of bytes: a str, or {"$b64": ...} when not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"$b64": base64.b64encode(data).decode()}


def varint(n):
    out = bytearray()
    while True:
        n, low = divmod(n, 128)
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def string(value):
    data = to_bytes(value)
    return struct.pack(">H", len(data)) + data


def encode_properties(properties):
    """A property block with its length. A list of pairs keeps its order."""
    items = properties or {}
    out = b""
    for name, value in items.items() if isinstance(items, dict) else items:
        ident, kind = BY_NAME[name]
        tag = varint(ident)
        if kind in NUMBER:
            out += tag + struct.pack(NUMBER[kind], int(value))
        elif kind in ("str", "bin"):
            out += tag + string(value)
        elif kind == "ids":
            for one in value if isinstance(value, list) else [value]:
                out += tag + varint(one)
        else:
            for key, val in value:
                out += tag + string(key) + string(val)
    return varint(len(out)) + out


class Reader:
    """A cursor over the bytes of one packet."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if self.left() < n:
            raise Unexpected("short packet: %r" % self.data)
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def u8(self):
        return self.number(">B")

    def u16(self):
        return self.number(">H")

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value

    def string(self):
        return self.take(self.u16())

    def rest(self):
        return self.take(self.left())

    def properties(self):
        inner = Reader(self.take(self.varint()))
        out = {}
        while inner.left():
            name, kind = BY_ID[inner.varint()]
            if kind in NUMBER:
                out[name] = inner.number(NUMBER[kind])
            elif kind in ("str", "bin"):
                out[name] = from_bytes(inner.string())
            elif kind == "ids":
                out.setdefault(name, []).append(inner.varint())
            else:
                key, val = inner.string(), inner.string()
                out.setdefault(name, []).append(
                    [from_bytes(key), from_bytes(val)])
        return out


def _decode_ack(p, r, v5):
    p["mid"] = r.u16()
    rc = r.u8() if v5 and r.left() else 0
    properties = r.properties() if v5 and r.left() else {}
    if rc or properties:
        p["rc"], p["properties"] = rc, properties


def decode(first, body, version):
    """One packet from its first byte and what follows the length."""
    name, flags = NAMES[first >> 4], first & 15
    r, v5, p = Reader(body), version == 5, {"type": name}
    if name == "CONNACK":
        p["session_present"], p["rc"] = r.u8() & 1, r.u8()
        if v5 and r.left():
            p["properties"] = r.properties()
    elif name == "PUBLISH":
        p["dup"], p["qos"] = bool(flags & 8), (flags >> 1) & 3
        p["retain"], p["topic"] = bool(flags & 1), from_bytes(r.string())
        if p["qos"]:
            p["mid"] = r.u16()
        if v5:
            p["properties"] = r.properties()
        p["payload"] = from_bytes(r.rest())
    elif name in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
        _decode_ack(p, r, v5)
    elif name in ("SUBACK", "UNSUBACK"):
        p["mid"] = r.u16()
        if v5:
            p["properties"] = r.properties()
        p["rcs"] = list(r.rest())
    elif name in ("DISCONNECT", "AUTH"):
        p["rc"] = r.u8() if r.left() else 0
        p["properties"] = r.properties() if r.left() else {}
    return p


class Client:
    """One connection and what is known of it."""

    def __init__(self, port, client_id="", version=4, host="127.0.0.1",
                 auto_ack=True, timeout=5.0):
        self.port, self.host = port, host
        self.client_id, self.version = client_id, version
        self.auto_ack = auto_ack
        self.timeout = timeout * time_scale()
        self.sock = None
        self.buf = b""
        self.inbox = []     # read, not yet asked for
        self.log = []       # everything received, in order
        self.last_mid = 0

    # -- the wire ---------------------------------------------------------

    def open(self):
        self.sock = socket.create_connection((self.host, self.port),
                                             self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    def raw(self, data):
        """Send bytes as they are. A dead connection is found by reading."""
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send(self, name, flags, body):
        self.raw(bytes([CODE[name] << 4 | flags]) + varint(len(body)) + body)

    def close(self):
        """Drop the TCP connection without a DISCONNECT."""
        if self.sock:
            self.sock.close()
            self.sock = None

    def reset(self):
        """Drop it with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.close()

    def _split(self):
        """The next complete packet of the buffer, or None."""
        if len(self.buf) < 2:
            return None
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self.buf):
                return None
            byte = self.buf[at]
            length |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if not byte & 128:
                break
        if len(self.buf) < at + length:
            return None
        packet = self.buf[0], self.buf[at:at + length]
        self.buf = self.buf[at + length:]
        return packet

    def _read(self, deadline):
        """The next packet off the wire, or None at the deadline."""
        while True:
            packet = self._split()
            if packet:
                return decode(*packet, self.version)
            if self.sock is None:
                return dict(CLOSED)
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            try:
                data = self.sock.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                self.close()
            self.buf += data

    def _acknowledge(self, p):
        """Answer a delivery. True when the packet is not for the inbox."""
        if not self.auto_ack or self.sock is None:
            return False
        if p["type"] == "PUBLISH" and p["qos"]:
            self.ack("PUBACK" if p["qos"] == 1 else "PUBREC", p["mid"])
        elif p["type"] == "PUBREL":
            self.ack("PUBCOMP", p["mid"])
            return True
        return False

    # -- waiting ----------------------------------------------------------

    def wait(self, *types, timeout=None, **match):
        """The first packet of one of the types whose fields match.

        Others stay in the inbox, in order. Raises when time runs out or the
        connection ends first.
        """
        limit = self.timeout if timeout is None else timeout * time_scale()
        deadline = time.monotonic() + limit

        def wanted(p):
            return ((not types or p["type"] in types) and
                    all(p.get(k) == v for k, v in match.items()))

        for i, p in enumerate(self.inbox):
            if wanted(p):
                return self.inbox.pop(i)
        while True:
            p = self._read(deadline)
            what = "%s %s" % ("/".join(types) or "a packet", match or "")
            if p is None:
                raise Unexpected("%s: no %s in %.1f s; inbox: %r" %
                                 (self.client_id, what, limit, self.inbox))
            self.log.append(p)
            if self._acknowledge(p):
                continue
            if wanted(p):
                return p
            if p["type"] == "CLOSED":
                raise Unexpected("%s: closed while waiting for %s; inbox: %r"
                                 % (self.client_id, what, self.inbox))
            self.inbox.append(p)

    def expect_closed(self, timeout=None):
        """Wait until the broker closes; returns what came before it."""
        self.wait("CLOSED", timeout=timeout)
        before, self.inbox = self.inbox, []
        return before

    def barrier(self, timeout=None):
        """A ping round trip: what the broker wrote before is here now."""
        self.send("PINGREQ", 0, b"")
        self.wait("PINGRESP", timeout=timeout)

    def drain(self):
        """After a barrier, take everything that was not asked for."""
        self.barrier()
        got, self.inbox = self.inbox, []
        return got

    def quiet(self):
        """Fail unless nothing is here and nothing is under way."""
        got = self.drain()
        if got:
            raise Unexpected("%s: unexpected %r" % (self.client_id, got))

    def silent(self):
        """Fail if anything has come by now, the end included."""
        p = self.inbox[0] if self.inbox else self._read(time.monotonic())
        if p:
            raise Unexpected("%s: unexpected %r" % (self.client_id, p))

    def message(self, topic=None, timeout=None):
        """The next PUBLISH (of that topic)."""
        match = {} if topic is None else {"topic": topic}
        return self.wait("PUBLISH", timeout=timeout, **match)

    # -- packets ----------------------------------------------------------

    def mid(self):
        self.last_mid = self.last_mid % 65535 + 1
        return self.last_mid

    def block(self, properties):
        return encode_properties(properties) if self.version == 5 else b""

    def send_connect(self, username=None, password=None, clean=True,
                     keepalive=60, will=None, properties=None):
        """`will`: topic, payload, and optionally qos, retain, properties."""
        flags = 2 if clean else 0
        tail = string(self.client_id)
        if will:
            flags |= (4 | will.get("qos", 0) << 3 |
                      (32 if will.get("retain") else 0))
            tail += self.block(will.get("properties"))
            tail += string(will["topic"]) + string(will["payload"])
        if username is not None:
            flags |= 128
            tail += string(username)
        if password is not None:
            flags |= 64
            tail += string(password)
        name = b"MQIsdp" if self.version == 3 else b"MQTT"
        self.send("CONNECT", 0,
                  string(name) + bytes([self.version, flags]) +
                  struct.pack(">H", keepalive) + self.block(properties) +
                  tail)

    def connect(self, username=None, password=None, rc=0, **kw):
        """Open, CONNECT, and the CONNACK. `rc` None accepts any code."""
        self.open()
        self.send_connect(username, password, **kw)
        ack = self.wait("CONNACK")
        if rc is not None and ack["rc"] != rc:
            raise Unexpected("%s: CONNACK %d, not %d" %
                             (self.client_id, ack["rc"], rc))
        return ack

    def send_publish(self, topic, payload=b"", qos=0, retain=False,
                     dup=False, mid=None, properties=None):
        mid = (mid or self.mid()) if qos else None
        body = string(topic)
        if qos:
            body += struct.pack(">H", mid)
        self.send("PUBLISH", (8 if dup else 0) | qos << 1 | bool(retain),
                  body + self.block(properties) + to_bytes(payload))
        return mid

    def publish(self, topic, payload=b"", qos=0, **kw):
        """Publish and go through the whole handshake.

        Returns the last packet of it: PUBACK, PUBCOMP, or a PUBREC that
        refuses; None for QoS 0.
        """
        mid = self.send_publish(topic, payload, qos, **kw)
        if qos == 0:
            return None
        if qos == 1:
            return self.wait("PUBACK", mid=mid)
        rec = self.wait("PUBREC", mid=mid)
        if rec.get("rc", 0) >= 0x80:
            return rec
        self.ack("PUBREL", mid)
        return self.wait("PUBCOMP", mid=mid)

    def ack(self, name, mid, rc=0, properties=None):
        body = struct.pack(">H", mid)
        if self.version == 5 and (rc or properties):
            body += bytes([rc]) + encode_properties(properties)
        self.send(name, 2 if name == "PUBREL" else 0, body)

    def send_subscribe(self, *filters, mid=None, properties=None):
        """Each filter is a topic filter or (filter, qos or options byte)."""
        mid = mid or self.mid()
        body = struct.pack(">H", mid) + self.block(properties)
        for one in filters:
            topic, options = (one, 0) if isinstance(one, str) else one
            body += string(topic) + bytes([options])
        self.send("SUBSCRIBE", 2, body)
        return mid

    def subscribe(self, *filters, **kw):
        """Subscribe; the codes of the SUBACK."""
        mid = self.send_subscribe(*filters, **kw)
        return self.wait("SUBACK", mid=mid)["rcs"]

    def unsubscribe(self, *filters, mid=None, properties=None):
        """Unsubscribe; the codes of the UNSUBACK, none before MQTT 5."""
        mid = mid or self.mid()
        body = struct.pack(">H", mid) + self.block(properties)
        for topic in filters:
            body += string(topic)
        self.send("UNSUBSCRIBE", 2, body)
        return self.wait("UNSUBACK", mid=mid)["rcs"]

    def auth(self, rc=0x18, properties=None):
        self.send("AUTH", 0, bytes([rc]) + encode_properties(properties))

    def disconnect(self, rc=0, properties=None):
        """DISCONNECT, then wait until the broker has closed."""
        body = b""
        if self.version == 5 and (rc or properties):
            body = bytes([rc]) + encode_properties(properties)
        self.send("DISCONNECT", 0, body)
        self.expect_closed()
        self.close()
