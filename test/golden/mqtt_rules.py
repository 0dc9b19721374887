"""Where this project, or its host, differs from VerneMQ: the rules.

Each rule is a function of the host, of what VerneMQ does at that place, and
of what it depends on; it returns what is expected instead. Nothing is
skipped: mqtt_model.py plays on with the rule's answer, and the result must
be met exactly. A rule counts as used in a case when it changed something.

The second thing a rule says is who decided it: a number is a decision of
contract.md, part A; a letter is a section of brokers.md, on what the host
can and cannot do, "host" the same as read in Mosquitto's source; "-" is a
peculiarity of the recording.
"""

from mqtt import from_bytes, to_bytes
from mqtt_model import (CRASH, ERROR, FOREIGN, KEEP_ALIVE, NEXT,
                        NOT_AUTHORIZED, OK, Reply, decided_properties)

RULES = {}
EXPIRY = "p_message_expiry_interval"
BAD_METHOD, NOBODY, NO_SUBSCRIPTION = 0x8c, 0x10, 0x11


class Host:
    """The broker that is played against."""

    def __init__(self, version, closes_denied=True, blocking=False):
        self.version = version
        self.v21 = not version.startswith("2.0")
        self.closes_denied = closes_denied  # has publish_denied = disconnect
        self.blocking = blocking and self.v21


class Rule:
    def __init__(self, function, decision, reason):
        self.function = function
        self.decision, self.reason = decision, reason


class Rules:
    """The rules at work in one case. Without a host: VerneMQ itself."""

    def __init__(self, host=None):
        self.host = host
        self.used = set()

    def turn(self, name, value, *context):
        """What becomes of VerneMQ's `value` at the place of this name."""
        if not self.host:
            return value
        new = RULES[name].function(self.host, value, *context)
        if new != value:
            self.used.add(name)
        return new


def rule(decision, reason):
    def add(function):
        RULES[function.__name__] = Rule(function, decision, reason)
        return function
    return add


# ---- replies ----

@rule("1", "a reply that is malformed refuses; nobody's process crashes")
def malformed_refuses(host, reply):
    return Reply(ERROR)


@rule("2", "{}, [] and null mean none")
def empty_is_none(host, reply):
    return Reply(OK)


# ---- requests ----

@rule("15", "no Mosquitto tells a plugin the peer's port")
def peer_port(host, port):
    return 0


AUTH = ("p_authentication_method", "p_authentication_data")


def of_auth(properties):
    return {k: v for k, v in properties.items() if k in AUTH}


@rule("16", "of CONNECT's properties the authentication method and its data "
      "are told to a plugin, no others")
def connect_properties(host, told):
    return of_auth(told)


@rule("16", "SUBSCRIBE's properties are not told to a plugin")
def subscribe_properties(host, properties):
    return {}


@rule("16", "of SUBSCRIBE's properties 2.1 tells the identifier, 2.0 none")
def subscribe_properties_told(host, properties):
    if not host.v21:
        return {}
    return {k: v for k, v in properties.items() if k == "p_subscription_id"}


@rule("16", "UNSUBSCRIBE's properties are not told to a plugin")
def unsubscribe_properties(host, properties):
    return {}


@rule("16", "of CONNECT and AUTH the method and its data are told")
def auth_properties(host, properties):
    return of_auth(properties)


def without_expiry(properties):
    return {k: v for k, v in properties.items() if k != EXPIRY}


@rule("16", "2.0 does not know a PUBLISH's properties when it asks; 2.1 has "
      "taken the expiry out")
def publish_properties_asked(host, properties):
    return without_expiry(properties) if host.v21 else {}


@rule("16", "the broker takes the expiry out of a PUBLISH before it tells")
def publish_properties_told(host, properties, message):
    return properties if message.decided else without_expiry(properties)


@rule("16", "whether the broker gave a client its id is not told")
def assigned_id_untold(host, told):
    return {k: v for k, v in told.items() if k != "p_assigned_client_id"}


# ---- logins ----

@rule("host", "Mosquitto hands an empty user name or password on as none")
def empty_credential(host, text):
    return None if text == "" else text


@rule("host", "Mosquitto hands a password on as a C string: up to a NUL")
def password_of_c(host, password):
    data = to_bytes(password)
    return from_bytes(data[:data.index(0)]) if 0 in data else password


@rule("5", "on_auth_m5 at CONNECT tells who the client is")
def auth_names(host, names, c):
    return dict(names, username=c.username, client_id=c.session.id)


@rule("14", "a refused MQTT 5 login is answered 0x87, not 0x86")
def refused_login_code(host, code):
    return NOT_AUTHORIZED


@rule("b", "a login's mountpoint must be the listener's, or it is refused; "
      "2.0 cannot rename a client either")
def login_changes_isolation(host, reply):
    if "client_id" not in reply.modifiers:
        return reply
    if reply.get("mountpoint") not in FOREIGN or not host.v21:
        return Reply(ERROR)
    return reply


@rule("k", "2.0 cannot change clean_session")
def clean_session_kept(host, wanted, own):
    return wanted if host.v21 else own


@rule("k", "p_session_expiry_interval of a login is applied on 2.1; VerneMQ "
      "takes and forgets it")
def session_expiry_applied(host, own, wanted):
    return wanted if host.v21 else own


@rule("host", "the CONNACK of MQTT 3.1 has no flag for a resumed session")
def session_present_in_31(host, present):
    return False


@rule("i", "Mosquitto's CONNACK tells its limits")
def connack_properties(host, properties):
    limits = {"p_topic_alias_max": 10, "p_receive_max": 20}
    if host.v21:
        limits["p_max_packet_size"] = 2000000
    return dict(properties, **limits)


@rule("5", "on_auth_m5 works")
def enhanced_auth_works(host, verdict, reply, c):
    code = reply.get("reason_code")
    if reply.outcome == NEXT:
        return BAD_METHOD, {}
    if reply.outcome != OK or code not in (0, 24):
        return NOT_AUTHORIZED, {}
    properties = decided_properties(reply.get("properties") or {})
    return code, dict(properties, p_authentication_method=c.method)


# ---- wills ----

@rule("25", "a will is asked about when it is published, not at CONNECT")
def will_asked_when_published(host, late):
    return True


# ---- sessions ----

@rule("h", "2.0 does not tell MQTT 5's session expiry: a session counts as "
      "gone when it began with clean start, else as offline, and as expired "
      "once it is found to be gone")
def session_end_by_flag(host, ended, c):
    return ended if host.v21 or c.version < 5 else c.clean


@rule("host", "Mosquitto ends a connection whose keep-alive is over without a "
      "DISCONNECT; 2.0.11 one that is taken over, too")
def end_untold(host, code):
    silent = code == KEEP_ALIVE or host.version == "2.0.11"
    return None if silent else code


# ---- publishes ----

@rule("13", "a denied publish of MQTT 3.1.1 is acknowledged and dropped "
      "(of a plugin without publish_denied)")
def denied_publish_closes(host, closes):
    return host.closes_denied


@rule("28", "a publish to $... is left to other plugins, hence refused, and "
      "Mosquitto acknowledges it")
def dollar_publish_acknowledged(host, acknowledged):
    return True


@rule("27", "a publish that no endpoint decides is left to other plugins; "
      "nobody allows it, and Mosquitto acknowledges it")
def undecided_publish_closes(host, closes):
    return False


@rule("k", "max_message_size bounds publishes, by denying them; the broker "
      "shows a plugin no other packet's size")
def message_size_bounds_publishes(host, closes):
    return False


@rule("k", "a publish into another mountpoint is refused: isolation is never "
      "dropped in silence")
def publish_changes_isolation(host, reply):
    if reply.get("mountpoint") not in FOREIGN:
        return Reply(ERROR)
    return reply


@rule("28", "no reply rewrites a topic into $SYS, $CONTROL or $share")
def reserved_topic_refused(host, reply):
    first = reply.get("topic", "").split("/")[0]
    return Reply(ERROR) if first in ("$SYS", "$CONTROL", "$share") else reply


@rule("e", "Mosquitto's PUBACK tells MQTT 5 that nobody is subscribed; of a "
      "message that is republished it always says so")
def no_matching_subscribers(host, code, c, asked, message, found):
    if c.version < 5 or asked.qos != 1:
        return code
    return NOBODY if not found or message.qos != asked.qos else code


# ---- deliveries ----

@rule("17", "on_deliver is told, not asked")
def deliver_told(host, reply):
    if host.blocking:
        return reply
    changes = reply.outcome == CRASH or (reply.outcome == OK and
                                         reply.modifiers)
    return Reply(OK) if changes else reply


@rule("g", "on_deliver has the delivery's own QoS on 2.1, but not the "
      "subscription's identifier and an expiry that is running; on 2.0 QoS "
      "and retain are the publisher's, and properties are known while its "
      "message is passed on, not of retained and queued ones")
def deliver_body(host, body, message, subscription):
    properties = dict(body["properties"])
    properties.pop("p_subscription_id", None)
    if not message.decided:
        properties = without_expiry(properties)
    if not host.v21:
        return dict(body, qos=message.qos, retain=message.retain,
                    properties=properties if message.passing else {})
    return dict(body, qos=min(message.qos, subscription.qos),
                properties=properties)


@rule("-", "after a retained message a VerneMQ session of MQTT 5 misses its "
      "own publish; Mosquitto delivers it")
def own_message_lost(host, lost):
    return False


# ---- subscriptions ----

@rule("4", "auth_on_subscribe asks about one filter a call, in packet order")
def one_question_a_filter(host, questions, wanted):
    return [[one] for one in wanted]


@rule("4", "a subscription's options are not known when it is asked about")
def options_unknown(host, topics):
    return [{"topic": t["topic"], "qos": t["qos"]} for t in topics]


@rule("16", "2.0 does not tell a subscription's options")
def options_untold(host, topics):
    return topics if host.v21 else options_unknown(host, topics)


@rule("2", "an answer about one filter lists one, or it refuses")
def one_answer_a_filter(host, reply):
    return reply if len(reply.topics) == 1 else Reply(ERROR)


@rule("f", "2.0 cannot rewrite a subscription: it is refused")
def subscribe_rewrite_refused(host, reply, question):
    if host.v21 or reply.topics[0]["qos"] > 2:
        return reply
    (topic, subscription), new = question[0], reply.topics[0]
    same = topic == new["topic"] and subscription.qos == new["qos"]
    return reply if same else Reply(ERROR)


@rule("f", "the SUBACK keeps the QoS that was asked for")
def suback_keeps_requested(host, qos, requested):
    return requested


@rule("f", "a rewritten subscription keeps its identifier")
def rewrite_keeps_identifier(host, none, identifier):
    return identifier


@rule("2", "codes above 2 become the host's own refusal")
def refusal_code(host, code):
    return NOT_AUTHORIZED


@rule("f", "SUBACK of MQTT 3.1 has no code for a refusal: it shows the QoS "
      "asked for")
def refusal_unseen_in_31(host, codes, version, wanted):
    if version != 3:
        return codes
    return [s.qos if code == 0x80 else code
            for code, (_, s) in zip(codes, wanted)]


@rule("4", "unsubscribed filters are told in packet order; with blocking = on "
      "they are asked about one by one")
def unsubscribe_questions(host, questions, topics):
    return [[t] for t in topics] if host.blocking else [topics]


@rule("2", "a reply that rewrites one unsubscribed filter into several, or "
      "none, has no effect")
def one_unsubscribed(host, topics, question):
    return topics if len(topics) == 1 else question


@rule("4", "on_unsubscribe is told, not asked")
def unsubscribe_told(host, reply):
    if host.blocking:
        return reply
    changes = reply.outcome == CRASH or (reply.outcome == OK and
                                         reply.topics is not None)
    return Reply(OK) if changes else reply


@rule("f", "UNSUBACK tells MQTT 5 that there was no such subscription")
def unsuback_codes(host, codes, had):
    return [0 if h else NO_SUBSCRIPTION for h in had]


@rule("-", "an earlier conversation of the recording left a retained message: "
      "it is there when this one begins")
def retained_before(host, messages):
    return messages
