"""Dovecot's pop3d and imapd, furnished for a dialogue."""

import re
import shutil
import subprocess

from dialogue import put_letters
from overlay import free_port, run, wait_port

# Careful: to Dovecot a client at its own address is as one under TLS: so it has another.
HOST = "127.0.0.2"
CONFIG = """base_dir = {base}/run
log_path = {base}/log
protocols = pop3 imap
listen = {host}
mail_location = maildir:~/Maildir
first_valid_uid = 1
auth_mechanisms = plain login{apop}
auth_failure_delay = {delay}
disable_plaintext_auth = {tls_only}
pop3_lock_session = yes
pop3_enable_last = {last}
{tls}
mail_plugins = quota
protocol imap {{
  mail_plugins = quota imap_quota
}}
plugin {{
  quota = maildir:User quota
  quota_rule = *:bytes={quota}
  quota_grace = 0
  quota_max_mail_size = {message_size}
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = passwd-file
  args = {base}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={base}/mail/%u
}}
service anvil {{
  # Nobody is delayed for the mistakes of the dialogue before.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {ports[pop3]}
  }}
  inet_listener pop3s {{
    port = {ports[pop3s]}
    ssl = yes
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {ports[imap]}
  }}
  inet_listener imaps {{
    port = {ports[imaps]}
    ssl = yes
  }}
}}
"""
TLS = "ssl = yes\nssl_cert = <{tls}/cert.pem\nssl_key = <{tls}/key.pem"
ROLES = ("pop3", "pop3s", "imap", "imaps")
CANNOT = {
    "login_delay": "Dovecot has no LOGIN-DELAY",
    "pop3_timeout": "Dovecot's autologout is not to be set",
    "imap_timeout": "Dovecot's autologout is not to be set",
    "max_connections_per_address": "Dovecot counts connections for each user, after the login",
}


class Dovecot:
    name = "dovecot"

    def __init__(self, base, tls):
        self.base, self.tls = base / self.name, tls
        self.base.mkdir()
        self.ports = {role: free_port() for role in ROLES}
        self.address = ",".join(f"{role}={HOST}:{port}" for role, port in self.ports.items())
        self.process = None

    def cannot(self, site):
        if "smtp" in site.services:
            return "Dovecot takes no mail by SMTP"
        return next((why for key, why in CANNOT.items() if key in site.settings), "")

    def furnish(self, site):
        self.end()
        mail = self.base / "mail"
        shutil.rmtree(mail, ignore_errors=True)
        mail.mkdir()
        for name, _ in site.users:
            (mail / name).mkdir()
        put_letters(site, lambda user: mail / user)
        run("chown", "-R", "65534:65534", mail)
        users = "".join(f"{name}:{{PLAIN}}{password}\n" for name, password in site.users)
        (self.base / "users").write_text(users)
        without = site.get("certificate", "") == "none"
        config = self.base / "dovecot.conf"
        config.write_text(
            CONFIG.format(
                base=self.base,
                host=HOST,
                ports=self.ports,
                apop=" apop" if site.get("apop", "yes") == "yes" else "",
                # It knows whole seconds only.
                delay=re.sub(r"\d+ms", "1s", site.get("failure_delay", "0s")),
                tls_only="yes" if site.get("clear_text_login", "") == "none" else "no",
                last=site.get("old_verbs", "no"),
                # Both are octets; 0 is no limit.
                quota=site.get("quota", "0"),
                message_size=site.get("message_size", "0"),
                tls="ssl = no" if without else TLS.format(tls=self.tls),
            )
        )
        self.process = subprocess.Popen(["dovecot", "-F", "-c", config])
        wait_port(self.ports["imap"], HOST)

    def end(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
