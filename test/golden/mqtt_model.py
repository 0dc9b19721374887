"""What a conversation of clients with a VerneMQ broker leads to.

A model of the broker, small enough to be read: from a case's clients, steps
and answers of the endpoint it derives the hooks that are called and the
packets that are received. As it stands it is VerneMQ; each place where this
project or its host differs asks a rule of mqtt_rules.py by name, with what
VerneMQ does. So a rule never skips anything: it says what comes instead, and
what follows from that later in the conversation follows here, too.

Section numbers are those of contract.md, part B.
"""

import base64
import json

from mqtt import from_bytes, to_bytes

OK, NEXT, ERROR, CRASH = "ok", "next", "error", "crash"
PUBLISHED_LEVELS = 10       # VerneMQ's topic_max_depth
TAKEN_OVER, KEEP_ALIVE = 142, 141
NOT_AUTHORIZED = 0x87
RETAIN_HANDLING = ("send_retain", "send_if_new_sub", "dont_send")
FOREIGN = ("", None)
MADE_UP = "anon-"           # begins the id of a client that has none


def m5(hook, version):
    """The hook's name for a client's protocol."""
    return hook + "_m5" if version == 5 else hook


def plain(hook):
    return hook[:-3] if hook.endswith("_m5") else hook


# ---- topics ----

def valid_filter(topic):
    levels = topic.split("/")
    return bool(topic) and all(
        level in ("+", "#") or not set(level) & set("+#")
        for level in levels) and "#" not in levels[:-1]


def valid_topic(topic):
    return (bool(topic) and not set(topic) & set("+#\0") and
            topic.count("/") < PUBLISHED_LEVELS)


def matches(pattern, topic):
    if pattern.startswith("$share/"):
        pattern = pattern.split("/", 2)[2]
    want, have = pattern.split("/"), topic.split("/")
    if have[0].startswith("$") and want[0] in ("+", "#"):
        return False
    for i, level in enumerate(want):
        if level == "#":
            return True
        if i >= len(have) or level not in ("+", have[i]):
            return False
    return len(want) == len(have)


# ---- bytes and properties as JSON ----

def b64(value):
    return base64.b64encode(to_bytes(value)).decode()


def bad_run(data):
    """How many bytes at the start one U+FFFD stands for."""
    lead = data[0]
    if lead == 0xed and len(data) > 2 and data[1] >= 0xa0:
        return 3
    most = 1 + (0xc0 <= lead < 0xf8) + (0xe0 <= lead < 0xf8) + \
        (0xf0 <= lead < 0xf8)
    n = 1
    while n < min(most, len(data)) and data[n] & 0xc0 == 0x80:
        n += 1
    return n


def lossy(value):
    """Text of bytes, with U+FFFD where VerneMQ's encoder puts it for what is
    no UTF-8 (section 3)."""
    if value is None:
        return None
    data, out = to_bytes(value), ""
    while data:
        try:
            return out + data.decode()
        except UnicodeDecodeError as error:
            out += data[:error.start].decode() + "\ufffd"
            data = data[error.start:]
            data = data[bad_run(data):]
    return out


def told_properties(properties):
    """A packet's properties as hooks carry them (section 4)."""
    out = {}
    for name, value in (properties or {}).items():
        if name == "p_user_property":
            value = [{"key": b64(k), "val": b64(v)} for k, v in value]
        elif name == "p_authentication_data":
            value = b64(value)
        elif name == "p_correlation_data":
            value = lossy(value)
        elif name == "p_payload_format_indicator":
            value = "utf8" if value else "unspecified"
        elif name in ("p_request_problem_info", "p_request_response_info"):
            value = bool(value)
        elif name == "p_subscription_id":
            value = value if isinstance(value, list) else [value]
        out[name] = value
    return out


def decided_properties(properties):
    """A reply's properties as packets carry them."""
    out = {}
    for name, value in properties.items():
        if name == "p_user_property":
            value = [[from_bytes(base64.b64decode(i["key"])),
                      from_bytes(base64.b64decode(i["val"]))] for i in value]
        elif name == "p_authentication_data":
            value = from_bytes(base64.b64decode(value))
        elif name == "p_payload_format_indicator":
            value = int(value == "utf8")
        out[name] = value
    return out


# ---- replies (sections 6 and 7) ----

class Reply:
    """What an answer means: an outcome, and what an ok may change."""

    def __init__(self, outcome, modifiers=None, topics=None, empty=False):
        self.outcome = outcome
        self.modifiers = modifiers or {}
        self.topics = topics        # None: as requested
        self.empty = empty          # crashed over an empty object or null

    def __eq__(self, other):
        return vars(self) == vars(other)

    def get(self, name, default=None):
        return self.modifiers.get(name, default)


TEXT, NUMBER, FLAG, TOPIC, PAYLOAD = "text", "number", "flag", "topic", "load"

REGISTER = dict(
    dict.fromkeys(("username", "client_id", "mountpoint", "queue_type",
                   "shared_subscription_policy"), TEXT),
    **dict.fromkeys(("clean_session", "upgrade_qos", "allow_register",
                     "allow_publish", "allow_subscribe",
                     "allow_unsubscribe"), FLAG),
    **dict.fromkeys(("max_message_size", "max_message_rate",
                     "max_connection_lifetime", "max_inflight_messages",
                     "retry_interval", "max_online_messages",
                     "max_offline_messages", "max_drain_time",
                     "max_msgs_per_drain_step"), NUMBER))
PUBLISH = {"topic": TOPIC, "payload": PAYLOAD, "qos": NUMBER, "retain": FLAG,
           "mountpoint": TEXT, "throttle": NUMBER}
DELIVER = {"topic": TOPIC, "payload": PAYLOAD}
ALLOWED = {"auth_on_register": REGISTER, "auth_on_publish": PUBLISH,
           "on_deliver": DELIVER, "auth_on_subscribe": {},
           "on_unsubscribe": {},
           "on_auth": {"reason_code": NUMBER}}
PROPERTIES = {
    "auth_on_register_m5": ("p_user_property", "p_session_expiry_interval"),
    "auth_on_publish_m5": (
        "p_user_property", "p_message_expiry_interval", "p_content_type",
        "p_payload_format_indicator", "p_response_topic",
        "p_correlation_data", "p_will_delay_interval"),
    "on_deliver_m5": ("p_user_property", "p_content_type",
                      "p_payload_format_indicator", "p_response_topic",
                      "p_correlation_data"),
    "on_auth_m5": ("p_authentication_method", "p_authentication_data")}
# Names that VerneMQ knows, allowed or not: any other one crashes it.
KNOWN = {name for table in ALLOWED.values() for name in table} | {
    "properties", "topics", "password", "subscriber_id", "reg_view"}


def fits(kind, value):
    if kind == NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == FLAG:
        return isinstance(value, bool)
    return isinstance(value, str) and (kind != TOPIC or valid_topic(value))


def check_properties(hook, value):
    if value in ({}, None):
        return Reply(CRASH, empty=True)
    if value == []:
        return None
    if not isinstance(value, dict):
        return Reply(CRASH)
    if set(value) <= set(PROPERTIES.get(hook, ())):
        return None
    known = {name for names in PROPERTIES.values() for name in names}
    return Reply(ERROR if set(value) <= known else CRASH)


def check_modifiers(hook, modifiers):
    """None, or the Reply that these make of an ok."""
    allowed = ALLOWED[plain(hook)]
    if not set(modifiers) <= KNOWN:
        return Reply(CRASH)
    for name, value in modifiers.items():
        if name == "properties" and hook in PROPERTIES:
            bad = check_properties(hook, value)
            if bad:
                return bad
        elif name == "payload" and name in allowed:
            try:
                base64.b64decode(value, validate=True)
            except (TypeError, ValueError):
                return Reply(CRASH)
        elif name not in allowed or not fits(allowed[name], value):
            return Reply(ERROR)
    both = "client_id" in modifiers, "mountpoint" in modifiers
    if plain(hook) == "auth_on_register" and both[0] != both[1]:
        return Reply(ERROR)
    if not 0 <= round(modifiers.get("qos", 0)) <= 2:
        return Reply(ERROR)
    return None


def check_topics(hook, topics):
    """Lists of subscriptions, or of filters to unsubscribe."""
    if plain(hook) == "on_unsubscribe":
        if all(isinstance(t, str) and valid_filter(t) for t in topics):
            return Reply(OK, topics=topics)
        return Reply(ERROR)
    for t in topics:
        if not isinstance(t, dict):
            return Reply(CRASH)
        if (not isinstance(t.get("qos"), int) or
                not isinstance(t.get("topic"), str) or
                not valid_filter(t["topic"])):
            return Reply(ERROR)
    return Reply(OK, topics=topics)


def read_topics(hook, value):
    if value == [] and hook == "auth_on_subscribe_m5":
        return Reply(OK, topics=[])     # no subscription at all
    if value == [] and hook != "on_unsubscribe_m5":
        return Reply(OK)                # as requested
    if not value:
        return Reply(CRASH, empty=True)
    if isinstance(value, list):
        return check_topics(hook, value)
    return Reply(NEXT if hook == "on_unsubscribe" else CRASH)


def read_ok(hook, document):
    if hook in ("auth_on_subscribe", "on_unsubscribe"):
        return read_topics(hook, document.get("topics", []))
    modifiers = document.get("modifiers", [])
    if modifiers == []:
        return Reply(OK)
    if modifiers in ({}, None):
        return Reply(CRASH, empty=True)
    if not isinstance(modifiers, dict):
        return Reply(CRASH)
    if plain(hook) in ("auth_on_subscribe", "on_unsubscribe"):
        if set(modifiers) == {"topics"}:
            return read_topics(hook, modifiers["topics"])
        return Reply(ERROR if set(modifiers) <= KNOWN else CRASH)
    return check_modifiers(hook, modifiers) or Reply(OK, modifiers)


def read_reply(hook, answer):
    """What VerneMQ makes of an endpoint's answer."""
    if answer is None:
        return Reply(OK)
    if answer.get("drop") or answer.get("status", 200) != 200:
        return Reply(ERROR)
    try:
        document = json.loads(to_bytes(answer.get("body")).decode("utf-8-sig"))
    except ValueError:
        return Reply(ERROR)
    if not isinstance(document, dict):
        return Reply(CRASH)
    result = document.get("result")
    if isinstance(result, (dict, list)):
        return Reply(ERROR)
    if result == "next":
        return Reply(NEXT)
    return read_ok(hook, document) if result == "ok" else Reply(CRASH)


# ---- the broker's state ----

class Message:
    def __init__(self, topic, payload, qos=0, retain=False, properties=None):
        self.topic, self.payload = topic, payload
        self.qos, self.retain = qos, retain
        self.properties = dict(properties or {})
        self.decided = False        # a reply has set the properties
        self.passing = False        # from a publisher, at this moment

    def body(self, **more):
        out = {"qos": self.qos, "topic": self.topic,
               "payload": b64(self.payload), "retain": self.retain}
        out.update(more)
        return out

    def changed(self, reply):
        """This message with a reply's modifiers."""
        new = Message(reply.get("topic", self.topic), self.payload,
                      round(reply.get("qos", self.qos)),
                      reply.get("retain", self.retain), self.properties)
        if "payload" in reply.modifiers:
            new.payload = from_bytes(base64.b64decode(reply.get("payload")))
        if reply.get("properties"):
            new.properties = decided_properties(reply.get("properties"))
            new.decided = True
        return new


class Subscription:
    def __init__(self, qos, options=0, ident=None):
        self.qos, self.ident = qos, ident
        self.no_local, self.rap = bool(options & 4), bool(options & 8)
        self.retain_handling = options >> 4 & 3

    def told(self, topic, version):
        out = {"topic": topic, "qos": self.qos}
        if version == 5:
            out.update(no_local=self.no_local, rap=self.rap,
                       retain_handling=RETAIN_HANDLING[self.retain_handling])
        return out


class Session:
    """What outlives a connection, if it does."""

    def __init__(self, client_id, version, expiry):
        self.id, self.version = client_id, version
        self.expiry = expiry        # 0: ends with the connection; None: never
        self.mountpoint = ""
        self.connection = None
        self.subscriptions = {}
        self.queue = []
        self.left_at = 0
        self.told_gone = False
        self.will = None            # delayed: (when, connection)
        self.had_retained = False   # a retained message of QoS 1 came

    @property
    def clean(self):
        return self.expiry == 0


class Connection:
    def __init__(self, letter, version, args):
        self.letter, self.version, self.args = letter, version, args
        self.open = True
        self.clean = args.get("clean", True)
        self.username = args.get("user", "u")
        self.password = args.get("pw", "p")
        self.properties = args.get("props_") or {}
        self.will = args.get("will")
        self.keepalive = args.get("keepalive", 60)
        self.session = None
        self.method = self.properties.get("p_authentication_method")
        self.authenticating = False
        self.max_size = 0
        self.aliases = {}
        self.last_mid = 0
        self.active_at = 0

    def mid(self):
        self.last_mid += 1
        return self.last_mid

    def will_message(self):
        return Message(self.will["topic"], self.will["payload"],
                       self.will.get("qos", 0), self.will.get("retain", False),
                       self.will.get("props"))


class Step:
    """What one step leads to."""

    def __init__(self):
        self.hooks = []         # (name, body)
        self.received = {}      # letter: packets


# ---- the case ----

def recorded_id(step):
    """The client id that a connect step shows; None when it shows none."""
    for hook in step["hooks"]:
        if plain(hook["hook"]) in ("auth_on_register", "on_client_wakeup"):
            return hook["body"]["client_id"]
    return None


def rejected_id(step):
    """CONNACK "identifier rejected", and nobody was asked."""
    return not step["hooks"] and any(
        p["type"] == "CONNACK" and p["rc"] in (2, 0x85)
        for packets in step["received"].values() for p in packets)


class Clients:
    """Who the letters of a case are: protocol and client id.

    Ids are told as "$A", or as they were recorded if the case shares one
    between letters. "" is a client without an id of its own.
    """

    def __init__(self, case):
        self.case = case
        self.versions = {}
        for step in case["steps"]:
            for hook in step["hooks"]:
                if (step["do"] == "connect" and
                        plain(hook["hook"]) == "auth_on_register"):
                    self.versions.setdefault(
                        step["client"],
                        5 if hook["hook"].endswith("_m5") else None)

    def version(self, letter):
        if letter not in self.versions:
            return self.case["protocol"]
        if self.versions[letter]:
            return 5
        return self.case["protocol"] if self.case["protocol"] < 5 else 4

    def id(self, step):
        letter = step["client"]
        shown = recorded_id(step)
        if rejected_id(step) or (shown or "").startswith(MADE_UP):
            return ""
        return "$" + letter if shown is None else shown


def retained_before(case):
    """Messages that the recording found retained: earlier ones left them."""
    own, found = set(), {}
    changes = json.dumps(case["hook_answers"])
    for step in case["steps"]:
        if step["do"] == "publish" and (step["args"].get("retain") or
                                        "retain" in changes):
            own.add(step["args"]["topic"])
        for hook in step["hooks"]:
            body = hook["body"]
            if plain(hook["hook"]) != "on_deliver" or not body["retain"]:
                continue
            if body["topic"] not in own:
                found.setdefault(body["topic"], Message(
                    body["topic"],
                    from_bytes(base64.b64decode(body["payload"])), 2, True))
    return list(found.values())


class Model:
    """Plays one case. `rules` is a mqtt_rules.Rules."""

    def __init__(self, case, rules):
        self.case, self.rules = case, rules
        self.answers = case["hook_answers"]
        self.clients = Clients(case)
        self.turn = rules.turn
        self.sessions = {}
        self.connections = {}
        self.retained = {m.topic: m for m in retained_before(case)}
        self.clock = 0.0
        self.step = None

    def play(self):
        """The list of Steps."""
        out = []
        for step in self.case["steps"]:
            self.step = Step()
            c = self.connections.get(step["client"])
            if c:
                c.active_at = self.clock
            getattr(self, "do_" + step["do"])(step, c)
            out.append(self.step)
        return out

    # -- what is seen ------------------------------------------------------

    def tell(self, hook, body):
        self.step.hooks.append((hook, body))

    def ask(self, hook, body, told=None):
        """Call a hook and read its reply. `told` names the rule of a hook
        that may only be told."""
        self.tell(hook, body)
        reply = read_reply(hook, self.answers.get(hook))
        if told:
            reply = self.turn(told, reply)
        if reply.outcome == CRASH and reply.empty:
            reply = self.turn("empty_is_none", reply)
        if reply.outcome == CRASH:
            reply = self.turn("malformed_refuses", reply)
        return reply

    def receive(self, letter, kind, **fields):
        self.step.received.setdefault(letter, []).append(
            dict(type=kind, **fields))

    def ids(self, session):
        return {"mountpoint": session.mountpoint, "client_id": session.id}

    def names(self, c):
        return dict(self.ids(c.session), username=c.username)

    def props(self, version, properties):
        return ({"properties": told_properties(properties)}
                if version == 5 else {})

    # -- connecting --------------------------------------------------------

    def do_connect(self, step, _):
        letter = step["client"]
        c = Connection(letter, self.clients.version(letter), step["args"])
        client_id = self.clients.id(step)
        c.active_at = self.clock
        self.connections[letter] = c
        c.session = Session(client_id or "$" + letter, c.version, 0)
        c.username = self.turn("empty_credential", c.username)
        c.password = self.turn("password_of_c", self.turn(
            "empty_credential", c.password))
        if not client_id and (c.version == 3 or
                              (c.version == 4 and not c.clean)):
            self.refuse_connect(c, 2)
        elif c.method is not None:
            self.authenticate(c, c.properties)
        else:
            self.register(c, assigned=not client_id)

    def refuse_connect(self, c, code):
        more = {"properties": {}} if c.version == 5 else {}
        self.receive(c.letter, "CONNACK", session_present=0, rc=code, **more)
        self.closed(c)

    def authenticate(self, c, properties):
        """One round of on_auth_m5. VerneMQ's never succeeds (5.22)."""
        names = self.turn("auth_names", dict(
            username=None, mountpoint="", client_id="undefined"), c)
        reply = self.ask("on_auth_m5", dict(
            names, properties=told_properties(
                self.turn("auth_properties", properties))))
        code, connack = self.turn("enhanced_auth_works", (None, {}), reply, c)
        c.authenticating = code == 24
        if code is None:
            self.closed(c)
        elif code == 0:
            c.password = None
            self.register(c, connack=connack)
        elif code == 24:
            self.receive(c.letter, "AUTH", rc=24, properties=connack)
        else:
            self.refuse_connect(c, code)

    def do_auth(self, step, c):
        if c and c.open and c.authenticating:
            self.authenticate(c, step["args"].get("props_") or {})

    def register(self, c, assigned=False, connack=None):
        start = "clean_start" if c.version == 5 else "clean_session"
        body = dict(peer_addr="127.0.0.1",
                    peer_port=self.turn("peer_port", "$PORT"),
                    mountpoint="", client_id=c.session.id,
                    username=c.username, password=lossy(c.password))
        body[start] = c.clean
        if c.version == 5:
            body["properties"] = self.turn("connect_properties",
                                           told_properties(c.properties))
        reply = self.ask(m5("auth_on_register", c.version), body)
        if reply.outcome == OK:
            reply = self.turn("login_changes_isolation", reply)
        if reply.outcome == CRASH:
            self.closed(c)
        elif reply.outcome != OK:
            self.refuse_connect(c, 5 if c.version < 5 else
                                self.turn("refused_login_code", 0x86))
        else:
            self.admit(c, reply, assigned, dict(connack or {}))

    def expiry(self, c, reply):
        """How long the session stays; 0, seconds, or None for ever."""
        if c.version == 5:
            own = c.properties.get("p_session_expiry_interval", 0)
            wanted = (reply.get("properties") or {}).get(
                "p_session_expiry_interval")
            if wanted is not None:
                own = self.turn("session_expiry_applied", own, wanted)
            return None if own == 0xffffffff else own
        if reply.get("clean_session", c.clean) != c.clean:
            return self.turn("clean_session_kept",
                             None if c.clean else 0, 0 if c.clean else None)
        return 0 if c.clean else None

    def admit(self, c, reply, assigned, connack):
        if "client_id" in reply.modifiers:
            c.session.id = reply.get("client_id")
            c.session.mountpoint = reply.get("mountpoint")
        if c.username is not None:
            c.username = reply.get("username", c.username)
        c.session.expiry = self.expiry(c, reply)
        c.max_size = reply.get("max_message_size", 0)
        told = dict(connack)
        if assigned and c.version == 5:
            connack["p_assigned_client_id"] = c.session.id
            told = self.turn("assigned_id_untold", dict(connack))
        present = self.attach(c)
        self.tell("on_client_wakeup", self.ids(c.session))
        self.tell(m5("on_register", c.version), dict(
            self.names(c), peer_addr="127.0.0.1",
            peer_port=self.turn("peer_port", "$PORT"),
            **self.props(c.version, told)))
        if c.will and not self.turn("will_asked_when_published", False):
            if not self.will_allowed(c):
                return
        more = {}
        if c.version == 5:
            more["properties"] = self.turn("connack_properties", connack)
        if c.version == 3:
            present = self.turn("session_present_in_31", present)
        self.receive(c.letter, "CONNACK", session_present=int(present), rc=0,
                     **more)
        queue, c.session.queue = c.session.queue, []
        for message, subscription in queue:
            self.deliver(c.session, message, subscription)

    def will_allowed(self, c):
        """VerneMQ asks about a will at CONNECT (5.3)."""
        will = c.will_message()
        reply = self.ask(m5("auth_on_publish", c.version), dict(
            self.names(c), **will.body(),
            **self.props(c.version, will.properties)))
        if reply.outcome == OK:
            will = will.changed(reply)
            c.will = dict(topic=will.topic, payload=will.payload,
                          qos=will.qos, retain=will.retain,
                          props=will.properties)
            return True
        c.will = None
        if reply.outcome == CRASH:
            self.closed(c)
        else:
            self.refuse_connect(c, NOT_AUTHORIZED if c.version == 5 else 5)
        self.detach(c)
        return False

    def attach(self, c):
        """Take the id over. Whether a session was resumed."""
        old = self.sessions.get(c.session.id)
        if old and old.connection:
            other = old.connection
            self.disconnected(other, TAKEN_OVER)
            self.publish_will(other)
            gone = (self.turn("session_end_by_flag", old.clean, other) or
                    c.clean)
            self.tell("on_client_gone" if gone else "on_client_offline",
                      self.ids(old))
        present = bool(old and not old.clean and not c.clean)
        if present:
            c.session.subscriptions = old.subscriptions
            c.session.queue = old.queue
        c.session.connection = c
        self.sessions[c.session.id] = c.session
        return present

    # -- leaving -----------------------------------------------------------

    def closed(self, c):
        self.receive(c.letter, "CLOSED")
        c.open = False

    def disconnected(self, c, code):
        """The broker ends a connection, and tells MQTT 5 why."""
        code = self.turn("end_untold", code)
        if c.version == 5 and code:
            self.receive(c.letter, "DISCONNECT", rc=code, properties={})
        self.closed(c)

    def detach(self, c):
        """The connection is gone; the session stays or goes."""
        s = c.session
        s.connection, s.left_at = None, self.clock
        s.told_gone = self.turn("session_end_by_flag", s.clean, c)
        self.tell("on_client_gone" if s.told_gone else "on_client_offline",
                  self.ids(s))
        if s.clean:
            self.expired(s)

    def expired(self, s):
        """The session ends. Nobody hears it who was told so already."""
        self.sessions.pop(s.id, None)
        if not s.told_gone:
            self.tell("on_session_expired", self.ids(s))

    def leave(self, c, with_will):
        """The client ends a session that is up."""
        c.open = False
        if with_will and c.will:
            delay = (c.will.get("props") or {}).get("p_will_delay_interval",
                                                    0)
            if delay and not c.session.clean:
                c.session.will = self.clock + delay, c
            else:
                self.publish_will(c)
        self.detach(c)

    def crash(self, c):
        """VerneMQ's process dies: no packet, no will (section 6)."""
        self.closed(c)
        self.detach(c)

    def publish_will(self, c):
        if not c.will:
            return
        will = c.will_message()
        will.properties.pop("p_will_delay_interval", None)
        c.will = None
        if self.turn("will_asked_when_published", False):
            reply = self.ask(m5("auth_on_publish", c.version), dict(
                self.names(c), **will.body(), **self.props(
                    c.version, self.turn("publish_properties_asked",
                                         will.properties))))
            if reply.outcome != OK:
                return
            will = will.changed(reply)
        if c.version < 5:       # never for MQTT 5 (5.16)
            self.tell("on_publish", dict(self.names(c), **will.body()))
        self.route(will, c)

    def do_disconnect(self, step, c):
        if not c or not c.open:
            return
        self.receive(c.letter, "CLOSED")
        self.leave(c, step["args"].get("rc") == 4)

    def do_close(self, step, c):
        if c and c.open:
            self.leave(c, True)

    # -- publishing --------------------------------------------------------

    def do_publish(self, step, c):
        args = step["args"]
        if not c or not c.open:
            return
        properties = dict(args.get("props_") or {})
        alias = properties.pop("p_topic_alias", None)
        topic = args["topic"]
        if alias is not None:
            topic = c.aliases[alias] = topic or c.aliases.get(alias)
        message = Message(topic, args.get("payload", ""), args.get("qos", 0),
                          bool(args.get("retain")), properties)
        mid = c.mid() if message.qos else None
        if self.too_large(c, step, message, mid):
            return
        if topic.startswith("$"):
            if self.turn("dollar_publish_acknowledged", False):
                self.acknowledge(c, message, mid, NOT_AUTHORIZED)
            return
        self.publish(c, message, mid)

    def too_large(self, c, step, message=None, mid=None):
        """VerneMQ closes at a packet beyond max_message_size (section 7)."""
        if not c.max_size or packet_size(step) <= c.max_size:
            return False
        if self.turn("message_size_bounds_publishes", True):
            self.crash(c)
            return True
        if message:
            self.denied(c, message, mid)
        return message is not None

    def publish(self, c, message, mid):
        reply = self.ask(m5("auth_on_publish", c.version), dict(
            self.names(c), **message.body(), **self.props(
                c.version, self.turn("publish_properties_asked",
                                     message.properties))))
        if reply.outcome == OK:
            reply = self.turn("publish_changes_isolation", reply)
        if reply.outcome == OK:
            reply = self.turn("reserved_topic_refused", reply)
        if reply.outcome == CRASH:
            self.crash(c)
        elif reply.outcome != OK:
            self.denied(c, message, mid, reply.outcome == NEXT)
        else:
            self.published(c, message, message.changed(reply), reply, mid)

    def published(self, c, asked, message, reply, mid):
        self.tell(m5("on_publish", c.version), dict(
            self.names(c), **message.body(), **self.props(
                c.version, self.turn("publish_properties_told",
                                     message.properties, message))))
        abroad = reply.get("mountpoint") not in FOREIGN
        # what the broker publishes in another's place is its own
        # and a QoS 2 message goes out later, with its PUBREL
        message.passing = asked.qos == message.qos < 2
        found = False if abroad else self.route(message, c)
        message.passing = False
        code = self.turn("no_matching_subscribers", 0, c, asked, message,
                         found)
        self.acknowledge(c, asked, mid, code)

    def denied(self, c, message, mid, undecided=False):
        """Section 8: 3.1 sees nothing, 3.1.1 is closed, 5 is told."""
        closes = c.version == 4 and self.turn("denied_publish_closes", True)
        if closes and undecided:
            closes = self.turn("undecided_publish_closes", True)
        if closes:
            self.closed(c)
            self.leave(c, True)
        else:
            self.acknowledge(c, message, mid, NOT_AUTHORIZED)

    def acknowledge(self, c, message, mid, code):
        if not message.qos:
            return
        kind = "PUBACK" if message.qos == 1 else "PUBREC"
        if code and c.version == 5:
            self.receive(c.letter, kind, mid=mid, rc=code, properties={})
        else:
            self.receive(c.letter, kind, mid=mid)
        if message.qos == 2 and (c.version < 5 or code < 0x80):
            self.receive(c.letter, "PUBCOMP", mid=mid)

    # -- delivering --------------------------------------------------------

    def route(self, message, publisher):
        """To everybody subscribed. Whether there was anybody."""
        if message.retain:
            if to_bytes(message.payload):
                self.retained[message.topic] = message
            else:
                self.retained.pop(message.topic, None)
        found = False
        for session in list(self.sessions.values()):
            for pattern, sub in list(session.subscriptions.items()):
                if (not matches(pattern, message.topic) or
                        session.mountpoint != publisher.session.mountpoint):
                    continue
                if sub.no_local and session is publisher.session:
                    continue
                found = True
                self.offer(session, message, sub, publisher)
        return found

    def offer(self, session, message, sub, publisher):
        if session.connection:
            lost = (session is publisher.session and session.version == 5 and
                    session.had_retained)
            if not lost or not self.turn("own_message_lost", True):
                self.deliver(session, message, sub)
            return
        if not sub.qos:
            return
        self.tell("on_offline_message", dict(
            self.ids(session), **message.body(qos=sub.qos)))
        if message.qos:
            session.queue.append((message, sub))

    def deliver(self, session, message, sub, retained=False):
        c = session.connection
        if not c or not c.open:
            return
        properties = dict(message.properties)
        if sub.ident:
            properties["p_subscription_id"] = [sub.ident]
        retain = retained or (sub.rap and message.retain)
        body = dict(self.names(c), **message.body(
            qos=sub.qos, retain=retain,
            properties=told_properties(properties)))
        body = self.turn("deliver_body", body, message, sub)
        hook = m5("on_deliver", c.version)
        reply = self.ask(hook, body, told="deliver_told")
        if reply.outcome == CRASH:
            self.crash(c)
            return
        if reply.outcome == OK:
            message = message.changed(reply)
            if reply.get("properties"):
                properties = message.properties
        self.send(c, message, min(message.qos, sub.qos), retain, properties)

    def send(self, c, message, qos, retain, properties):
        fields = dict(dup=False, qos=qos, retain=retain, topic=message.topic)
        if qos:
            fields["mid"] = 0
        if c.version == 5:
            fields["properties"] = properties
        self.receive(c.letter, "PUBLISH", payload=message.payload, **fields)
        if qos == 2:
            self.receive(c.letter, "PUBREL", mid=0)

    # -- subscribing -------------------------------------------------------

    def do_subscribe(self, step, c):
        if not c or not c.open or self.too_large(c, step):
            return
        mid = c.mid()
        properties = step["args"].get("props_") or {}
        wanted = [(t, Subscription(options & 3, options,
                                   properties.get("p_subscription_id")))
                  for t, options in step["args"]["topics"]]
        asked = self.turn("one_question_a_filter", [list(reversed(wanted))],
                          wanted)
        codes, granted = [], []
        for question in asked:
            outcome = self.question(c, question, properties)
            if outcome is None:
                return
            codes += reversed(outcome[0])
            granted += outcome[1]
        codes = self.turn("refusal_unseen_in_31", codes, c.version, wanted)
        self.subscribed(c, mid, codes, granted, properties)

    def question(self, c, question, properties):
        """(codes, granted) of one call; None when VerneMQ crashed."""
        hook = m5("auth_on_subscribe", c.version)
        body = dict(self.names(c), topics=self.turn(
            "options_unknown", [s.told(t, c.version) for t, s in question]),
            **self.props(c.version, self.turn("subscribe_properties",
                                              properties)))
        reply = self.ask(hook, body)
        if reply.outcome == CRASH:
            self.crash(c)
            return None
        if reply.outcome == OK and reply.topics is not None:
            reply = self.turn("one_answer_a_filter", reply)
        if reply.outcome == OK and reply.topics:
            reply = self.turn("subscribe_rewrite_refused", reply, question)
        if reply.outcome != OK:
            return [self.refusal(c)] * len(question), []
        if reply.topics is None:
            return [s.qos for _, s in question], question
        return self.rewritten(c, question, reply)

    def refusal(self, c):
        return NOT_AUTHORIZED if c.version == 5 else 0x80

    def rewritten(self, c, question, reply):
        codes, granted = [], []
        old = question[0][1]        # the only one where these matter
        for t in reply.topics:
            options = (4 * bool(t.get("no_local")) + 8 * bool(t.get("rap")) +
                       16 * RETAIN_HANDLING.index(
                           t.get("retain_handling", "send_retain")))
            new = Subscription(t["qos"], options)
            if t["qos"] in (0, 1, 2):
                codes.append(self.turn("suback_keeps_requested", t["qos"],
                                       old.qos))
                new.ident = self.turn("rewrite_keeps_identifier", None,
                                      old.ident)
                granted.append((t["topic"], new))
            elif c.version < 5 or t["qos"] == 128:
                codes.append(self.refusal(c))
            else:
                codes.append(self.turn("refusal_code", t["qos"]))
        return codes, granted

    def subscribed(self, c, mid, codes, granted, properties):
        new = set()
        for topic, sub in granted:
            if topic not in c.session.subscriptions:
                new.add(topic)
            c.session.subscriptions[topic] = sub
        if granted:
            self.tell(m5("on_subscribe", c.version), dict(
                self.names(c), topics=self.turn(
                    "options_untold",
                    [s.told(t, c.version) for t, s in granted]),
                **self.props(c.version, self.turn("subscribe_properties_told",
                                                  properties))))
        more = {"properties": {}} if c.version == 5 else {}
        self.receive(c.letter, "SUBACK", mid=mid, rcs=codes, **more)
        for topic, sub in granted:
            self.send_retained(c, topic, sub, topic in new)

    def send_retained(self, c, topic, sub, is_new):
        if (topic.startswith("$share/") or sub.retain_handling == 2 or
                (sub.retain_handling == 1 and not is_new)):
            return
        for message in list(self.retained.values()):
            if matches(topic, message.topic):
                if min(sub.qos, message.qos) == 1:
                    c.session.had_retained = True
                self.deliver(c.session, message, sub, retained=True)

    def do_unsubscribe(self, step, c):
        if not c or not c.open or self.too_large(c, step):
            return
        mid = c.mid()
        topics = step["args"]["topics"]
        properties = step["args"].get("props_") or {}
        had = []
        for question in self.turn("unsubscribe_questions",
                                  [list(reversed(topics))], topics):
            reply = self.ask(
                m5("on_unsubscribe", c.version),
                dict(self.names(c), topics=question, **self.props(
                    c.version, self.turn("unsubscribe_properties",
                                         properties))),
                told="unsubscribe_told")
            if reply.outcome == CRASH:
                self.crash(c)
                return
            if reply.outcome == OK and reply.topics is not None:
                question = self.turn("one_unsubscribed", reply.topics,
                                     question)
            had += [c.session.subscriptions.pop(t, None) is not None
                    for t in question]
        if c.version == 5:
            codes = self.turn("unsuback_codes", [0] * len(topics), had)
            self.receive(c.letter, "UNSUBACK", mid=mid, properties={},
                         rcs=codes)
        else:
            self.receive(c.letter, "UNSUBACK", mid=mid, rcs=[])

    # -- the rest ----------------------------------------------------------

    def do_ping(self, step, c):
        if c and c.open:
            self.receive(c.letter, "PINGRESP")

    def do_wait(self, step, _):
        self.clock += step["args"]["secs"]
        for c in list(self.connections.values()):
            if (c.open and c.keepalive and
                    self.clock - c.active_at >= 1.5 * c.keepalive):
                self.disconnected(c, KEEP_ALIVE)
                self.leave(c, True)
        for s in list(self.sessions.values()):
            if s.will and self.clock >= s.will[0]:
                when, c = s.will
                s.will = None
                if not s.connection:
                    self.publish_will(c)
            if (not s.connection and s.expiry is not None and
                    self.clock >= s.left_at + s.expiry):
                self.expired(s)


def packet_size(step):
    """At least how long the packet of a step is."""
    args = step["args"]
    if step["do"] == "publish":
        return (2 + len(to_bytes(args["topic"])) +
                len(to_bytes(args.get("payload", ""))))
    return 2 + sum(2 + len(to_bytes(t if isinstance(t, str) else t[0]))
                   for t in args.get("topics", []))
