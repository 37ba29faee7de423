"""Sessions typed line by line, by programs that each end lines in their own way."""

import base64
import os
import pty
import re
import select
import subprocess

from common import check, expect, same

TYPED = [
    "HELO class",
    "MAIL FROM:<bob@example.test>",
    "RCPT TO:<alice@example.test>",
    "DATA",
    "Subject: typed\n\n..two dots\nEnd\n.",
    "QUIT",
]
ANSWERS = [b"250", b"250", b"250", b"354", b"250", b"221"]


def typed(site, write, read, lines=tuple(zip(TYPED, ANSWERS)), added=b"-"):
    """Types line by line, as a person does, after each answer; these fields are added."""
    said = b""

    def answer(code):
        nonlocal said
        while not re.search(rb"(^|\n)" + code + rb" [^\n]*\n", said):
            more = read()
            expect(more, "closed before", code, said)
            said += more
        said = b""

    answer(b"220")
    for line, code in lines:
        write(line.encode() + b"\n")
        answer(code)
    came = re.sub(rb"(?m)^(%b): .*\r\n" % added, b"", site.only_message("alice"))
    same("typed", came, b"Subject: typed\r\n\r\n.two dots\r\nEnd\r\n")


def typed_into(site, *words, **more):
    site.empty("alice")
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:

        def write(text):
            program.stdin.write(text)
            program.stdin.flush()

        def read():
            ready, _, _ = select.select([program.stdout], [], [], 20)
            return os.read(program.stdout.fileno(), 4096) if ready else b""

        try:
            typed(site, write, read, **more)
        finally:
            program.kill()


@check
def nc_session(site):
    """nc sends LF alone."""
    typed_into(site, "nc", "127.0.0.1", str(site.ports["smtp"]))


@check
def nc_crlf_session(site):
    typed_into(site, "nc", "-C", "127.0.0.1", str(site.ports["smtp"]))


@check
def openssl_session(site):
    token = base64.b64encode(b"\0bob\0secret").decode()
    lines = [("EHLO class", b"250"), (f"AUTH PLAIN {token}", b"235"), *zip(TYPED[1:], ANSWERS[1:])]
    typed_into(
        site,
        "openssl",
        "s_client",
        "-quiet",
        "-connect",
        f"127.0.0.1:{site.ports['submissions']}",
        lines=lines,
        added=b"Date|Message-ID|From",  # submission does, RFC 6409 section 8
    )


@check
def telnet_session(site):
    """telnet wants a terminal."""
    site.empty("alice")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("telnet", ["telnet", "127.0.0.1", str(site.ports["smtp"])])

    def read():
        ready, _, _ = select.select([terminal], [], [], 20)
        try:
            return os.read(terminal, 4096).replace(b"\r", b"") if ready else b""
        except OSError:
            return b""

    try:
        typed(site, lambda text: os.write(terminal, text), read)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
