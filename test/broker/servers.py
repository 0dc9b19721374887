#!/usr/bin/env python3
"""servers.py FOLDER [UPSTREAM-PORT]

Real servers for endpoints to be: nginx in many ways, an openssl that insists
on a client certificate, a SOCKS and an HTTP proxy; and the certificates, made
anew. All on the loopback, all in FOLDER, until standard input ends. Says
"NAME PORT" for each and then "ready".

What nginx answers, with `ok`: {"result": "ok"}. With `echo`: a line of what
it saw, see ECHO. With `up`: what the server on UPSTREAM-PORT says.
"""

import base64
import ctypes
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

ECHO = ("$http_host $ssl_server_name $server_protocol $ssl_protocol "
        "$connection $connection_requests $request_method $request_uri "
        "$ssl_client_s_dn")

# name: certificate, then what else the server says
TLS = {
    "good": ("good", "http2", ""),
    "http1": ("good", "", ""),
    "tls12": ("good", "", "ssl_protocols TLSv1.2;"),
    "tls13": ("good", "", "ssl_protocols TLSv1.3;"),
    "expired": ("expired", "", ""),
    "wrong": ("wrong", "", ""),
    "untrusted": ("untrusted", "", ""),
    "revoked": ("revoked", "", ""),
    "mtls": ("good", "http2", "ssl_verify_client on;"
             "ssl_client_certificate @/ca.pem;"),
    "few": ("good", "http2", "keepalive_requests 20;"),
    "brief": ("good", "http2", "keepalive_timeout 100ms;"),
}
PLAIN = {"plain": "", "h2c": "http2"}

CA_CONF = """[ca]
default_ca = it
[it]
database = @/index.txt
serial = @/serial
new_certs_dir = @
default_md = sha256
default_crl_days = 30
policy = any
[any]
commonName = supplied
"""


def run(*command, **kwargs):
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **kwargs)
    if done.returncode:
        raise AssertionError("%s: %s" % (" ".join(command), done.stdout))


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Certificates:
    """`ca.pem` signs all but what `untrusted` has; `other.pem` is its."""

    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")
        self.authority("other")
        for name, san, ca, days in (
                ("good", "DNS:localhost,IP:127.0.0.1", "ca", 30),
                ("expired", "DNS:localhost,IP:127.0.0.1", "ca", -1),
                ("wrong", "DNS:sni.test", "ca", 30),
                ("untrusted", "DNS:localhost,IP:127.0.0.1", "other", 30),
                ("revoked", "DNS:localhost,IP:127.0.0.1", "ca", 30),
                ("client", "DNS:client.test", "ca", 30),
                ("stranger", "DNS:client.test", "other", 30)):
            self.issue(name, san, ca, days)
        self.encrypt("client", "s3cret")
        self.revoke("revoked", "ca")
        with open(self.path("client.pem")) as a, \
                open(self.path("client.key")) as b, \
                open(self.path("both.pem"), "w") as f:
            f.write(a.read() + b.read())

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *args):
        run("openssl", *(a.replace("@", self.folder) for a in args))

    def key(self, name):
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-out", "@/%s.key" % name)

    def authority(self, name):
        self.key(name)
        self.openssl("req", "-x509", "-new", "-key", "@/%s.key" % name,
                     "-subj", "/CN=authority " + name, "-days", "30",
                     "-out", "@/%s.pem" % name)

    def issue(self, name, san, ca, days):
        self.key(name)
        with open(self.path(name + ".ext"), "w") as f:
            f.write("subjectAltName=%s\n" % san)
        self.openssl("req", "-new", "-key", "@/%s.key" % name, "-subj",
                     "/CN=" + name, "-out", "@/%s.csr" % name)
        self.openssl("x509", "-req", "-in", "@/%s.csr" % name, "-CA",
                     "@/%s.pem" % ca, "-CAkey", "@/%s.key" % ca,
                     "-CAcreateserial", "-days", str(days), "-extfile",
                     "@/%s.ext" % name, "-out", "@/%s.pem" % name)

    def encrypt(self, name, password):
        self.openssl("pkey", "-in", "@/%s.key" % name, "-aes128", "-passout",
                     "pass:" + password, "-out", "@/%s.enc" % name)

    def pin(self, name):
        """For pinned_public_key; also in NAME.pin."""
        self.openssl("pkey", "-in", "@/%s.key" % name, "-pubout", "-outform",
                     "DER", "-out", "@/%s.der" % name)
        with open(self.path(name + ".der"), "rb") as f:
            digest = hashlib.sha256(f.read()).digest()
        text = "sha256//" + base64.b64encode(digest).decode()
        with open(self.path(name + ".pin"), "w") as f:
            f.write(text)
        return text

    def revoke(self, name, ca):
        """`crl.pem` revokes it, `empty.pem` nothing."""
        with open(self.path("ca.conf"), "w") as f:
            f.write(CA_CONF.replace("@", self.folder))
        with open(self.path("index.txt"), "w"):
            pass
        args = ("ca", "-config", "@/ca.conf", "-keyfile", "@/%s.key" % ca,
                "-cert", "@/%s.pem" % ca)
        self.openssl(*args, "-gencrl", "-out", "@/empty.pem")
        self.openssl(*args, "-revoke", "@/%s.pem" % name)
        self.openssl(*args, "-gencrl", "-out", "@/crl.pem")


class Servers:
    """`ports` by name; `certs` a Certificates."""

    def __init__(self, folder, upstream=9):
        self.folder = os.path.abspath(folder)
        self.certs = Certificates(self.folder)
        self.processes, self.ports = [], {}
        self.socket = os.path.join(self.folder, "nginx.sock")
        self.pin = self.certs.pin("good")
        for name in list(TLS) + list(PLAIN) + ["insists", "socks", "proxy"]:
            self.ports[name] = free_port()
        self.start_nginx(upstream)
        self.start_openssl()
        self.start_proxies()
        for name in self.ports:
            self.wait(name)

    def url(self, name, path="/ok", host="localhost"):
        scheme = "http" if name in PLAIN else "https"
        return "%s://%s:%d%s" % (scheme, host, self.ports[name], path)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text.replace("@", self.folder))

    # -- nginx ------------------------------------------------------------

    def server(self, listen, upstream, more=""):
        return """server { listen %s; %s
    location /ok { return 200 '{"result":"ok"}'; }
    location /echo { return 200 '%s'; }
    location /up { proxy_pass http://127.0.0.1:%d; }
}
""" % (listen, more, ECHO, upstream)

    def start_nginx(self, upstream):
        text = """daemon off; master_process off; pid @/pid;
error_log stderr crit; events { worker_connections 1024; }
http { access_log off; default_type application/json; keepalive_timeout 60;
client_body_temp_path @/t1; proxy_temp_path @/t2; fastcgi_temp_path @/t3;
uwsgi_temp_path @/t4; scgi_temp_path @/t5; client_max_body_size 8m;
"""
        for name, (cert, how, more) in TLS.items():
            if "ssl_protocols" not in more:
                more += "ssl_protocols TLSv1.2 TLSv1.3;"
            text += self.server(
                "127.0.0.1:%d ssl %s" % (self.ports[name], how), upstream,
                "ssl_certificate @/%s.pem; ssl_certificate_key @/%s.key; %s"
                % (cert, cert, more))
        for name, how in PLAIN.items():
            text += self.server("127.0.0.1:%d %s" % (self.ports[name], how),
                                upstream)
        text += self.server("unix:@/nginx.sock", upstream)
        text += self.server("unix:@/a:b%.sock", upstream,
                            "keepalive_timeout 100ms;")
        self.write("nginx.conf", text + "}\n")
        self.start("nginx", "-p", self.folder, "-e", "stderr", "-c",
                   self.path("nginx.conf"))

    # -- others -----------------------------------------------------------

    def start_openssl(self):
        """Asks for a client certificate, and ends the handshake without."""
        self.start("openssl", "s_server", "-quiet", "-accept",
                   "127.0.0.1:%d" % self.ports["insists"], "-cert",
                   self.path("good.pem"), "-key", self.path("good.key"),
                   "-CAfile", self.path("ca.pem"), "-Verify", "1",
                   "-verify_return_error", "-www")

    def start_proxies(self):
        self.start("microsocks", "-i", "127.0.0.1", "-p",
                   str(self.ports["socks"]), "-u", "joe", "-P", "s3cret")
        self.write("tinyproxy.conf", "Port %d\nListen 127.0.0.1\n"
                   "Timeout 60\nMaxClients 100\nLogLevel Connect\n"
                   "LogFile \"@/proxy.log\"\nDisableViaHeader Yes\n"
                   "BasicAuth joe s3cret\n" % self.ports["proxy"])
        self.start("tinyproxy", "-d", "-c", self.path("tinyproxy.conf"))

    # -- life -------------------------------------------------------------

    def start(self, program, *args):
        path = shutil.which(program, path=PATH)
        if not path:
            raise AssertionError("no %s: run scripts/setup" % program)
        log = open(self.path(program + ".out"), "ab")
        self.processes.append(subprocess.Popen(
            (path,) + args, stdin=subprocess.PIPE, stdout=log, stderr=log,
            cwd=self.folder, preexec_fn=die_with_parent))
        log.close()

    def wait(self, name):
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(
                    ("127.0.0.1", self.ports[name]), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    self.stop()
                    raise AssertionError(name + " does not start")
                time.sleep(0.01)

    def stop(self):
        for process in self.processes:
            if process.poll() is not None:
                name = os.path.basename(process.args[0])
                with open(self.path(name + ".out")) as f:
                    sys.stderr.write("%s died: %s %s\n" % (
                        name, process.returncode, f.read()[-2000:]))
            process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.stdin.close()
            process.wait()


def main():
    servers = Servers(sys.argv[1], int((sys.argv + ["9"])[2]))
    try:
        for item in servers.ports.items():
            print("%s %d" % item)
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
