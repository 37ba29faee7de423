"""The set of messages that every program must carry as they are, octet for octet."""

import base64
import random

HEAD = (
    "From: Luis <luis@example.test>\r\nTo: Alice <alice@example.test>\r\n"
    "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{name}@interop.example.test>\r\n"
    "Subject: {name}\r\n"
)


def letter(name, octets=0):
    """One among many, which its Subject tells from the others."""
    line = b"One line of many that fill a letter as large as it was asked for.\r\n"
    text = b"\r\nThe body of it.\r\n" + line * (octets // len(line))
    return HEAD.format(name=name).encode() + text


def messages():
    """The set, in wire form as it is to come out: name, octets."""
    noise = random.Random(7)

    def plain(name, body, more=""):
        return name, (HEAD.format(name=name) + more + "\r\n").encode() + body

    def encoded(octets):
        return base64.encodebytes(noise.randbytes(octets)).replace(b"\n", b"\r\n")

    eight = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={}\r\nContent-Transfer-Encoding: 8bit\r\n"
    part = (
        b'--frontier\r\nContent-Type: application/octet-stream; name="%b"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="%b"\r\n\r\n%b'
    )
    mixed = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary="frontier"\r\n'
    text = b"This is MIME.\r\n--frontier\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n"
    yield plain("plain", b"One line.\r\n")
    yield plain(
        "attachments",
        text
        + part % (b"a.bin", b"a.bin", encoded(30_000))
        + part % (b"b.bin", b"b.bin", encoded(5))
        + b"--frontier--\r\n",
        mixed,
    )
    yield plain("utf8", "Mañana, en el buzón: ¡sí!\r\n".encode() * 20, eight.format("utf-8"))
    yield plain(
        "latin1", "Mañana, en el buzón: ¡sí!\r\n".encode("latin-1"), eight.format("iso-8859-1")
    )
    yield plain(
        "octets", bytes(o for o in range(1, 256) if o not in b"\r\n") + b"\r\n", eight.format("x")
    )
    yield plain("dots", b".\r\n..\r\n...\r\n.start\r\n..start\r\n. \r\nend.\r\n.\r\n")
    yield plain("998", b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n")
    yield plain("2000", b"y" * 2000 + b"\r\n" + b". " * 1000 + b"\r\n")
    yield plain(
        "blanks",
        b"\r\n\r\n \r\n\t\r\ntrailing blanks   \r\nFrom the start\r\n>From here\r\n\r\n\r\n",
    )
    yield plain("empty", b"")
    yield plain(
        "folded",
        b"x\r\n",
        "References: <1@a.test>\r\n\t<2@a.test>\r\n   <3@a.test>\r\nX-Empty:\r\n",
    )
    yield plain("no-final-line-end", b"One line.\r\nAnd the last one has no end")
    yield plain(
        "20MB",
        text + part % (b"big.bin", b"big.bin", encoded(15_000_000)) + b"--frontier--\r\n",
        mixed,
    )


SET = list(messages())


def delivered(message):
    """As it must come out: SMTP lines have ends (RFC 5321 §4.1.1.4)."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"
