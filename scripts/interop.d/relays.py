"""Postfix, Exim and sendmail as hosts between our runq and our smtpd.

What comes goes on to the smtpd of a site. Each offers STARTTLS under a certificate of its own, which nobody signed. `leads` sets one up.
"""

import socket
import subprocess

import overlay
from common import run
from mtas import Exim, Postfix
from overlay import free_port, wait_port

POSTFIX = """compatibility_level = 3.6
myhostname = mx.aula.test
inet_interfaces = all
inet_protocols = ipv4
smtpd_client_event_limit_exceptions = static:all
maillog_file = /var/log/postfix.log
alias_maps =
mydestination =
default_transport = smtp:[127.0.0.1]:{port}
transport_maps = inline:{{ {{ aula.test = discard: }}, {{ no.test = error:5.1.1 nobody }} }}
smtp_line_length_limit = 0
smtp_tls_security_level = may
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/relay.pem
smtpd_tls_key_file = /etc/relay.key
message_size_limit = 52428800
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
"""
EXIM = """primary_hostname = mx.aula.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {here}
keep_environment =
never_users =
log_file_path = /var/log/exim4/%slog
tls_advertise_hosts = *
tls_certificate = /etc/relay.pem
tls_privatekey = /etc/relay.key
acl_smtp_rcpt = taken
begin acl
taken:
  accept
begin routers
ours:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = ours
begin transports
ours:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_fastopen =
  message_linelength_limit = 100000
begin retry
*  *  F,1d,1h
"""
SENDMAIL = """include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
DOMAIN(`debian-mta')dnl
undefine(`confHOST_STATUS_DIRECTORY')dnl
define(`confDOMAIN_NAME',`mx.aula.test')dnl
define(`confQUEUE_LA',`1000')define(`confREFUSE_LA',`1000')define(`confDELAY_LA',`0')dnl
define(`confCONNECTION_RATE_THROTTLE',`0')dnl
define(`confSERVER_CERT',`/etc/relay.pem')define(`confSERVER_KEY',`/etc/relay.key')dnl
define(`confCACERT',`/etc/relay.pem')define(`confCACERT_PATH',`/etc')dnl
define(`confPID_FILE',`/var/run/relay.pid')dnl
FEATURE(`no_default_msa')FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
define(`RELAY_MAILER_ARGS',`TCP $h {port}')define(`SMART_HOST',`relay:[127.0.0.1]')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={here}, Addr=127.0.0.1')dnl
MAILER_DEFINITIONS
MAILER(`local')dnl
MAILER(`smtp')dnl
"""


def certify(root, *names):
    """A certificate that its own key signed; the same again for the same overlay."""
    cert, key = root / "etc/relay.pem", root / "etc/relay.key"
    if not cert.exists():
        shown = ",".join(names)
        run(
            *"openssl req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=relay -addext".split(),
            f"subjectAltName={shown}",
            *("-out", cert, "-keyout", key),
        )
        key.chmod(0o600)
    return cert


NAMES = ("DNS:mx2.aula.test", "IP:127.0.0.1")


def postfix_leads(peer, site, more="", *options):
    certify(peer.root, *NAMES)
    peer.begin(POSTFIX.format(port=site.ports["smtp"]) + more, *options)


def exim_leads(peer, site):
    certify(peer.root, *NAMES)
    run("chroot", peer.root, "chown", "Debian-exim", "/etc/relay.key")
    peer.begin(EXIM.format(here=peer.port, port=site.ports["smtp"]))


class Sendmail(overlay.Overlay):
    name = "sendmail"

    def __init__(self, base):
        super().__init__(base / self.name, "sendmail-bin", "sendmail-cf", "m4")
        self.port = free_port()
        self.process = None

    def leads(self, site):
        certify(self.root, *NAMES)
        mail = self.root / "etc/mail"
        text = SENDMAIL.replace("{port}", str(site.ports["smtp"]))
        (mail / "relay.mc").write_text(text.replace("{here}", str(self.port)))
        self.inside("sh", "-c", "cd /etc/mail && m4 relay.mc >relay.cf")
        self.end()
        # Else it waits a minute for a name of this host that has a dot.
        hosts = self.root / "etc/hosts"
        hosts.write_text(f"127.0.0.1 localhost\n127.0.0.1 mx.aula.test {socket.gethostname()}\n")
        words = "/usr/libexec/sendmail/sendmail -L relay -bD -C/etc/mail/relay.cf".split()
        self.process = subprocess.Popen(["chroot", self.root, *words])
        wait_port(self.port)

    def log(self):
        return self.inside("sh", "-c", "mailq -C/etc/mail/relay.cf; true")

    def end(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


LEADS = {Postfix: postfix_leads, Exim: exim_leads, Sendmail: Sendmail.leads}
