"""A reload picks up what the files hold that the configuration names: new
certificates, keys and secrets count at once, retired ones no more."""

import base64
import hashlib
import hmac
import os
import re
import shutil
import tempfile
import time

from endpoint import OK, Stall, kept
from host import endpoint_conf
from servers import Servers
from test_reload import ReloadTest

UNTRUSTED = r"not trusted \(cafile\)"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEWER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def established(pid, port):
    """Connections of that process to a port: {(local port, inode)}."""
    inodes = set()
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            to = os.readlink("/proc/%d/fd/%s" % (pid, name))
        except OSError:
            continue
        inodes.update(re.findall(r"socket:\[(\d+)\]", to))
    found = set()
    with open("/proc/net/tcp") as f:
        for line in f.read().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "01" and fields[9] in inodes and \
                    int(fields[2].split(":")[1], 16) == port:
                found.add((fields[1], fields[9]))
    return found


class Certificates(ReloadTest):

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix="vmqtls")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)
        self.upstream = self.endpoint(path="/up")
        self.servers = Servers(self.folder, self.upstream.port)
        self.addCleanup(self.servers.stop)

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, *sources):
        """Replace a file by these together, at one stroke."""
        with open(self.path("new"), "wb") as to:
            for source in sources:
                with open(self.path(source), "rb") as f:
                    to.write(f.read())
        os.rename(self.path("new"), self.path(name))

    def stage(self, server, path="/ok", **keys):
        """A broker that asks it about logins; its file never changes."""
        conf = endpoint_conf(self.servers.url(server, path),
                             ("auth_on_register",))
        conf.update({"vmq_webhooks." + k: v for k, v in keys.items()})
        # nothing here is about time
        conf["vmq_webhooks.hook00.response_timeout"] = 20000
        return self.filed(conf)

    def log_in(self, b, rc, client_id="c1"):
        self.client(b, client_id).connect("u", "p", rc=rc)

    def again(self, b):
        """Reload; the text of the file has not changed, what it names has."""
        said = self.reload(b)
        self.assertIn("1 changed, 0 kept", said[0])

    def test_authority(self):
        self.put("its", "ca.pem")
        b = self.stage("good", cafile=self.path("its"))
        self.log_in(b, 0)
        self.log_in(b, 0)
        before = established(b.pid, self.servers.ports["good"])
        self.assertGreater(len(before), 0)
        # with nothing new the connections stay
        self.assertIn("0 changed, 1 kept", self.reload(b)[0])
        self.log_in(b, 0)
        self.assertLessEqual(before, established(
            b.pid, self.servers.ports["good"]))
        # retired: its idle connections are of no use any more
        self.put("its", "other.pem")
        self.again(b)
        self.log_in(b, 5)
        b.wait_log("auth_on_register: .*TLS: .*" + UNTRUSTED)
        deadline = time.monotonic() + 5 * self.scale
        while established(b.pid, self.servers.ports["good"]):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        # both, while they are exchanged
        self.put("its", "other.pem", "ca.pem")
        self.again(b)
        self.log_in(b, 0)
        # and the command does it as well
        self.put("its", "other.pem")
        self.command(b)
        self.log_in(b, 5)
        self.put("its", "ca.pem")
        self.command(b)
        self.log_in(b, 0)

    def test_a_new_authority(self):
        """Of the endpoint's other certificate."""
        self.put("its", "ca.pem")
        b = self.stage("untrusted", cafile=self.path("its"))
        self.log_in(b, 5)
        self.put("its", "ca.pem", "other.pem")
        self.again(b)
        self.log_in(b, 0)

    def test_client_certificate(self):
        for name in ("pem", "key"):
            self.put("its." + name, "client." + name)
        b = self.stage("mtls", cafile=self.path("ca.pem"),
                       certfile=self.path("its.pem"),
                       keyfile=self.path("its.key"))
        self.log_in(b, 0)
        # one of an authority that the server does not know
        for name in ("pem", "key"):
            self.put("its." + name, "stranger." + name)
        self.again(b)
        self.log_in(b, 5)
        b.wait_log("status 400")
        # and one renewed, of the same name
        self.servers.certs.issue("client", "DNS:client.test", "ca", 30)
        for name in ("pem", "key"):
            self.put("its." + name, "client." + name)
        self.again(b)
        self.log_in(b, 0)

    def test_half_a_renewal_changes_nothing(self):
        """A file that is no certificate: all stays as it is."""
        for name in ("pem", "key"):
            self.put("its." + name, "client." + name)
        b = self.stage("mtls", cafile=self.path("ca.pem"),
                       certfile=self.path("its.pem"),
                       keyfile=self.path("its.key"))
        self.log_in(b, 0)
        self.put("its.pem", "ca.srl")
        said = self.reload(b, says="in force stays as it is")
        self.has(said[0], "certfile: .*no PEM file with a certificate")
        self.log_in(b, 0)

    def test_password_of_the_key(self):
        def password(text):
            with open(self.path("pw"), "w") as f:
                f.write(text + "\n")

        password("wrong")
        b = self.stage("mtls", cafile=self.path("ca.pem"),
                       certfile=self.path("client.pem"),
                       keyfile=self.path("client.enc"),
                       keyfile_password_file=self.path("pw"))
        self.log_in(b, 5)
        password("s3cret")
        self.again(b)
        self.log_in(b, 0)
        self.assertNotIn("s3cret", b.log())

    def test_revocation(self):
        self.put("its", "empty.pem")
        b = self.stage("revoked", cafile=self.path("ca.pem"), use_crls="on",
                       crlfile=self.path("its"))
        self.log_in(b, 0)
        self.put("its", "crl.pem")
        self.again(b)
        self.log_in(b, 5)
        b.wait_log("has been revoked")
        self.put("its", "empty.pem")
        self.again(b)
        self.log_in(b, 0)

    def test_a_call_under_way(self):
        """It ends on the connection that it was sent on."""
        self.put("its", "ca.pem")
        stall = self.upstream.answers["auth_on_register"] = Stall(OK)
        b = self.stage("good", "/up", cafile=self.path("its"))
        c = self.client(b, "c1").open()
        c.send_connect("u", "p")
        self.upstream.wait_for("auth_on_register")
        self.put("its", "other.pem")
        self.has(self.command(b)[0], "1 changed")
        self.assertEqual(stall.held, 1)
        stall.release()
        self.assertEqual(c.wait("CONNACK")["rc"], 0)
        self.log_in(b, 5, "c2")
        b.wait_log(UNTRUSTED)
        self.assertEqual(self.upstream.count(), 1)

    def test_under_traffic(self):
        """A renewal now and then, and no login is lost."""
        for name in ("pem", "key"):
            self.put("its." + name, "client." + name)
        b = self.stage("mtls", cafile=self.path("ca.pem"),
                       certfile=self.path("its.pem"),
                       keyfile=self.path("its.key"))
        pairs = []
        for i in range(4):
            name = "client%d" % i
            self.servers.certs.issue(name, "DNS:client.test", "ca", 30)
            pairs.append(name)
        n = 0
        for i in range(12):
            for name in ("pem", "key"):
                self.put("its." + name, pairs[i % 4] + "." + name)
            if i % 2:
                self.hang_up(b)
            else:
                self.command(b)
            for _ in range(5):
                n += 1
                self.log_in(b, 0, "c%d" % n)
        self.assertEqual(b.failures(), [])


class Secrets(ReloadTest):

    def write(self, b, name, text):
        b.write("new", text)
        os.rename(b.path("new"), b.path(name))

    def stage(self, files, **keys):
        ep = self.endpoint()
        conf = endpoint_conf(ep.url, ("auth_on_register",))
        conf.update({"vmq_webhooks." + k.replace("__", "."): v
                     for k, v in keys.items()})
        b = self.unstarted({"config_file": "@DIR@/hooks.conf"}, files=files)
        text = "".join("%s = %s\n" % (k, v.replace("@DIR@", b.dir))
                       for k, v in conf.items())
        b.write("hooks.conf", text)
        b.start()
        self.addCleanup(b.stop)
        return ep, b

    def signed(self, request, secret):
        """Whether one of its signatures is by this secret."""
        text = ".".join([request.header("webhook-id"),
                         request.header("webhook-timestamp"), ""])
        mac = hmac.new(base64.b64decode(secret[6:]),
                       text.encode() + request.raw, hashlib.sha256).digest()
        return "v1," + base64.b64encode(mac).decode() in \
            request.header("webhook-signature").split()

    def test_header(self):
        ep, b = self.stage({"token": "Bearer one\n"},
                           header_file__Authorization="@DIR@/token")
        self.online(b, "c1")
        self.write(b, "token", "Bearer two\n")
        self.online(b, "c2")            # not before the reload
        self.reload(b)
        self.online(b, "c3")
        self.assertEqual([r.header("authorization") for r in ep.requests],
                         ["Bearer one", "Bearer one", "Bearer two"])
        self.assertNotIn("Bearer", b.log())

    def test_secret(self):
        """Exchanged as the manual has it: new behind old, then new alone."""
        ep, b = self.stage({"keys": SECRET + "\n"}, secret_file="@DIR@/keys")
        want = []
        for text, old, new in ((SECRET, True, False),
                               (SECRET + "\n" + NEWER, True, True),
                               (NEWER, False, True)):
            self.write(b, "keys", text + "\n")
            self.reload(b)
            self.online(b, "c%d" % len(want))
            want.append((old, new))
        self.assertEqual([(self.signed(r, SECRET), self.signed(r, NEWER))
                          for r in ep.requests], want)
        self.assertNotIn("whsec_", b.log())

    def test_authorities_do_not_matter_to_http(self):
        """Neither its connections nor its answers go for their sake."""
        pem = ("-----BEGIN CERTIFICATE-----\n%s\n"
               "-----END CERTIFICATE-----\n")
        ep, b = self.stage({"ca": pem % "MAMCAQE="}, cafile="@DIR@/ca")
        ep.answers["auth_on_register"] = kept(60)
        self.online(b, "c1")
        for i in range(3):
            self.write(b, "ca", pem % ("MAMCAQ%s=" % "IMQ"[i]))
            self.assertIn("0 changed, 1 kept", self.reload(b)[0])
            self.online(b, "c1").disconnect()
            self.online(b, "d%d" % i).disconnect()
        self.assertEqual(ep.count(), 4)
        self.assertEqual(ep.accepted, ep.open_connections())

    def test_what_was_registered_has_them_too(self):
        ep, b = self.stage({"token": "one"}, header_file__X="@DIR@/token")
        other = self.endpoint()
        b.admin("register", "hook=on_register", "endpoint=" + other.url)
        self.online(b, "c1")
        other.wait_for("on_register")
        self.write(b, "token", "two")
        self.reload(b)
        self.online(b, "c2")
        other.wait_for("on_register", 2)
        self.assertEqual([r.header("x") for r in other.requests],
                         ["one", "two"])
