"""Programs that send to smtpd."""

import email
import email.policy

from messages import SET, delivered
from common import check, run, same


def each_sent(site, send, undo=lambda wire: wire):
    """Sends each of the set by `send`, and compares what lies in the box."""
    for name, message in SET:
        site.empty("alice")
        send(name, message)
        same(name, undo(site.only_message("alice")), delivered(message))


def swaks(site, role, *options):
    def send(name, message):
        # It takes a dot alone on the last line as the end, and writes that itself.
        file = site.place / "letter"
        file.write_bytes(delivered(message) + b".")
        run(
            "swaks",
            "--server",
            f"127.0.0.1:{site.ports[role]}",
            "--helo",
            "interop.example.test",
            "--from",
            "luis@example.test",
            "--to",
            "alice@example.test",
            "--suppress-data",
            "--data",
            f"@{file}",
            *options,
        )

    each_sent(site, send)


LOGIN = ("--auth-user", "bob", "--auth-password", "secret")


@check
def swaks_plain(site):
    swaks(site, "smtp")


@check
def swaks_pipelining(site):
    swaks(site, "smtp", "--pipeline")


@check
def swaks_auth_plain(site):
    swaks(site, "submission", "--auth", "PLAIN", *LOGIN)


@check
def swaks_auth_login(site):
    swaks(site, "submission", "--auth", "LOGIN", *LOGIN)


@check
def swaks_starttls(site):
    swaks(
        site,
        "submission",
        "--tls",
        "--tls-verify",
        "--tls-ca-path",
        str(site.cert),
        "--auth",
        "PLAIN",
        *LOGIN,
    )


@check
def swaks_implicit_tls(site):
    swaks(site, "submissions", "--tls-on-connect", "--auth", "LOGIN", *LOGIN)


@check
def msmtp(site):
    config = site.config(
        "msmtprc",
        f"""
        account default
        host localhost
        port {site.ports["submission"]}
        tls on
        tls_trust_file {site.cert}
        auth on
        user bob
        password secret
        from luis@example.test
        """,
    )

    def send(name, message):
        run("msmtp", "-C", config, "alice@example.test", stdin=message)

    each_sent(site, send)


@check
def curl_smtp(site):
    def send(name, message):
        file = site.place / "letter"
        file.write_bytes(message)
        run(
            "curl",
            "-sS",
            f"smtp://127.0.0.1:{site.ports['smtp']}",
            "--mail-from",
            "luis@example.test",
            "--mail-rcpt",
            "alice@example.test",
            "-T",
            file,
        )

    each_sent(site, send)


@check
def s_nail(site):
    """It writes the letter itself, so the set comes as attachments: with LF line ends, as it would
    send the CRLF of a file as CR CR LF."""
    for name, message in SET:
        site.empty("alice")
        file = site.place / "letter.bin"
        lines = message.replace(b"\r\n", b"\n")
        file.write_bytes(lines)
        run(
            "s-nail",
            "-:/",
            "-S",
            "v15-compat",
            "-S",
            f"mta=smtp://127.0.0.1:{site.ports['smtp']}",
            "-S",
            "smtp-auth=none",
            "-S",
            "from=luis@example.test",
            "-S",
            "hostname=interop.example.test",
            "-S",
            "sendwait",
            "-s",
            name,
            "-a",
            file,
            "alice@example.test",
            stdin=b"See below.\n.dot\n",
        )
        got = email.message_from_bytes(site.only_message("alice"), policy=email.policy.default)
        attached = next(got.iter_attachments()).get_payload(decode=True)
        same(name, attached.replace(b"\r\n", b"\n"), lines)
        text = got.get_body().get_payload(decode=True).replace(b"\r\n", b"\n")
        same(f"{name}: text", text, b"See below.\n.dot\n")
