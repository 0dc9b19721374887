"""Endpoints that real servers are: TLS, Unix sockets, proxies."""

import os
import re
import shutil
import tempfile

from host import BrokerTest, endpoint_conf
from servers import Servers

TLS = {"expired": "has expired",
       "wrong": "for another name than localhost",
       "untrusted": r"not trusted \(cafile\)",
       "revoked": "has been revoked"}


class Transport(BrokerTest):

    def setUp(self):
        super().setUp()
        folder = tempfile.mkdtemp(prefix="vmqtls")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        self.servers = Servers(folder)
        self.addCleanup(self.servers.stop)

    def conf(self, url, hooks=("auth_on_register",), **options):
        return endpoint_conf(url, hooks, **options)

    def globals(self, **options):
        return {"vmq_webhooks." + k: v for k, v in options.items()}

    def path(self, name):
        return self.servers.path(name)

    def log_in(self, conf, env=None):
        """A broker with that auth_on_register, and a login that works."""
        b = self.broker(conf, env=env)
        self.online(b, "c1")
        return b

    def secretless(self, b, *more):
        """Nothing that people or other programs see has a secret."""
        text = b.log() + b.admin("show", "--origin").stdout
        with open("/proc/%d/cmdline" % b.pid) as f:
            text += f.read()
        for secret in ("s3cret",) + more:
            self.assertNotIn(secret, text)

    def test_tls(self):
        for name in ("good", "tls12", "tls13"):
            b = self.log_in(dict(self.conf(self.servers.url(name)),
                                 **self.globals(cafile=self.path("ca.pem"))))
            self.assertEqual(b.log_count("TLS:"), 0)

    def test_each_failure_has_its_words(self):
        conf = self.globals(cafile=self.path("ca.pem"), use_crls="on",
                            crlfile=self.path("crl.pem"))
        hooks = ("on_register", "on_client_gone", "auth_on_publish",
                 "on_client_wakeup")
        for i, name in enumerate(TLS):
            options = {} if hooks[i].startswith("auth") else {"retries": 0}
            conf.update(self.conf(self.servers.url(name), (hooks[i],),
                                  prefix=name, **options))
        b = self.broker(conf, anonymous=True)
        c = self.client(b)
        c.connect()
        c.publish("t", "x", 1)
        c.disconnect()
        for name, hook in zip(TLS, hooks):
            b.wait_log("%s: .*TLS: .*%s" % (hook, TLS[name]))

    def test_private_authority(self):
        """Not trusted unless it is named; then others are not."""
        b = self.broker(self.conf(self.servers.url("good")))
        c = self.client(b)
        c.connect("u", "p", rc=5)
        b.wait_log(r"auth_on_register: .*TLS: .*not trusted \(cafile\)")

    def test_client_certificate(self):
        """Of one webhook; another goes to the same URL without."""
        conf = self.globals(cafile=self.path("ca.pem"))
        conf.update(self.conf(
            self.servers.url("mtls"), certfile=self.path("client.pem"),
            keyfile=self.path("client.enc"), keyfile_password="s3cret"))
        conf.update(self.conf(self.servers.url("mtls"), ("on_register",),
                              prefix="none"))
        b = self.log_in(conf)
        b.wait_log("on_register: .*status 400")
        self.secretless(b)

    def test_password_in_a_file(self):
        with open(self.path("pw"), "w") as f:
            f.write("s3cret\n")
        b = self.log_in(dict(
            self.conf(self.servers.url("mtls")),
            **self.globals(cafile=self.path("ca.pem"),
                           certfile=self.path("client.pem"),
                           keyfile=self.path("client.enc"),
                           keyfile_password_file=self.path("pw"))))
        self.secretless(b)

    def test_wrong_password(self):
        b = self.broker(dict(
            self.conf(self.servers.url("mtls")),
            **self.globals(cafile=self.path("ca.pem"),
                           certfile=self.path("client.pem"),
                           keyfile=self.path("client.enc"),
                           keyfile_password="not s3cret")))
        c = self.client(b)
        c.connect("u", "p", rc=5)
        b.wait_log("keyfile_password is wrong")
        self.secretless(b)

    def test_unix_socket(self):
        self.log_in(self.conf("http+unix://%s:/ok" % self.servers.socket))

    def test_no_verification(self):
        b = self.log_in(self.conf(self.servers.url("untrusted"),
                                  verify_peer="off"))
        b.wait_log(r"vmq_webhooks.hook00: verify_peer = off: any server")

    def test_proxies(self):
        """With a password that nobody sees, right or wrong."""
        conf = self.globals(cafile=self.path("ca.pem"))
        for scheme, name in (("http", "proxy"), ("socks5h", "socks")):
            proxy = "%s://joe:%%s@127.0.0.1:%d" % (
                scheme, self.servers.ports[name])
            for password, rc in (("s3cret", 0), ("not-s3cret", 5)):
                b = self.broker(dict(conf, **self.conf(
                    self.servers.url("good"), proxy=proxy % password)))
                self.client(b).connect("u", "p", rc=rc)
                self.secretless(b)

    def test_warnings(self):
        b = self.broker(self.globals(depth=3, crlfile=self.path("crl.pem"),
                                     verify_peer="off"))
        b.wait_log("all webhooks.*: verify_peer = off")
        b.wait_log("depth has no effect")
        b.wait_log("crlfile has no effect without use_crls = on")

    def test_userinfo(self):
        """It is sent, and it is not shown."""
        ep = self.endpoint()
        url = ep.url.replace("://", "://joe:s3cret@")
        b = self.log_in(self.conf(url))
        self.assertEqual(ep.requests[0].header("authorization"),
                         "Basic am9lOnMzY3JldA==")
        shown = b.admin("show").stdout
        self.assertIn(ep.url.replace("://", "://***@"), shown)
        self.secretless(b, "am9lOnMzY3JldA==")
        self.assertEqual(b.admin("deregister", "hook=auth_on_register",
                                 "endpoint=" + url).returncode, 0)

    def test_files_that_are_not_there_stop_the_start_up(self):
        for key, name, reason in (
                ("cafile", "none", "cannot be read: No such file"),
                ("certfile", "ca.srl", "no PEM file with a certificate"),
                ("keyfile", "ca.pem", "no PEM file with a private key"),
                ("crlfile", "ca.pem", "no PEM file with a revocation list")):
            b = self.unstarted(self.globals(**{key: self.path(name)}))
            self.has(b.refused(), "plugin_opt_vmq_webhooks.%s: .*%s"
                     % (key, re.escape(reason)))
