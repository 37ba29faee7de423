"""Thunderbird on a screen of its own (Xvfb), driven through its Marionette port.

What a user does with the mouse is done by the commands behind the buttons; what a user sees is kept
as screenshots, in $SCREENSHOTS if that names a directory.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time

from imap import done, imap, letter, subjects
from messages import SET, delivered
from common import Wrong, check, expect, free, run, until

PREFS = {
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "mail.account.account1.identities": "id1",
    "mail.account.account1.server": "server1",
    "mail.accountmanager.accounts": "account1",
    "mail.accountmanager.defaultaccount": "account1",
    "mail.identity.id1.fullName": "Theo",
    "mail.identity.id1.useremail": "theo@example.test",
    "mail.identity.id1.valid": True,
    "mail.inappnotifications.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.server.server1.authMethod": 3,
    "mail.server.server1.check_new_mail": False,
    "mail.server.server1.hostname": "localhost",
    "mail.server.server1.login_at_startup": False,
    "mail.server.server1.name": "buzon",
    "mail.server.server1.socketType": 3,
    "mail.server.server1.type": "imap",
    "mail.server.server1.userName": "theo",
    "mail.shell.checkDefaultClient": False,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "toolkit.telemetry.enabled": False,
}
HELPERS = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const mail = Services.wm.getMostRecentWindow("mail:3pane");
const pane = mail?.document.getElementById("tabmail").currentAbout3Pane;
const server = MailServices.accounts.accounts[0].incomingServer;
const folder = name => server.rootFolder.descendants.find(one => one.name.toLowerCase() == name);
const subjects = one => Array.from(one.messages).map(letter => letter.mime2DecodedSubject).sort();
"""


class Marionette:
    """Remote control of a Mozilla program: `[0, ID, COMMAND, PARAMETERS]`, with its length."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.id = 0
        self.read()
        self.ask("WebDriver:NewSession", {"acceptInsecureCerts": True, "strictFileInteractability": False})
        self.ask("Marionette:SetContext", {"value": "chrome"})

    def read(self):
        text = b""
        while b":" not in text:
            text += self.some()
        length, _, text = text.partition(b":")
        while len(text) < int(length):
            text += self.some()
        return json.loads(text)

    def some(self):
        octets = self.socket.recv(65536)
        expect(octets, "Thunderbird hung up")
        return octets

    def ask(self, command, parameters):
        self.id += 1
        text = json.dumps([0, self.id, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, _, error, result = self.read()
        if error:
            raise Wrong(f"{command}: {error['error']}: {error['message'][:600]}")
        return result

    def run(self, script, *args):
        """A script in Thunderbird's own context; what it returns."""
        asked = {"script": HELPERS + script, "args": list(args), "newSandbox": True}
        return self.ask("WebDriver:ExecuteScript", asked).get("value")


@contextlib.contextmanager
def thunderbird(site):
    """At work on a new profile: its remote control, and a camera."""
    place = site.place / "thunderbird"
    profile = place / "profile"
    profile.mkdir(parents=True)
    port = next(port for port in range(12800, 13800) if free(port))
    prefs = {**PREFS, "mail.server.server1.port": site.ports["imaps"], "marionette.port": port}
    lines = [f'user_pref("{name}", {json.dumps(value)});\n' for name, value in prefs.items()]
    (profile / "user.js").write_text("".join(lines))
    read, write = os.pipe()
    words = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    screen = subprocess.Popen(words, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    display = ":" + os.fdopen(read).readline().strip()
    env = {**os.environ, "DISPLAY": display, "HOME": str(place), "LC_ALL": "C.UTF-8"}
    shots = pathlib.Path(os.environ.get("SCREENSHOTS", place))
    log = open(place / "log", "w", encoding="utf-8")
    words = ["thunderbird", "--marionette", "-remote-allow-system-access", "--no-remote"]
    bird = subprocess.Popen([*words, "--profile", profile], env=env, stdout=log, stderr=log)

    def shot(name):
        time.sleep(0.7)  # what it paints is told to nobody
        run("import", "-window", "root", shots / f"thunderbird-{name}.png", env=env)

    try:
        until(lambda: not free(port), "Thunderbird's port", 90)
        yield Marionette(port), shot
    except Exception:
        shot("fault")
        raise
    finally:
        bird.terminate()
        bird.wait()
        screen.terminate()
        screen.wait()


@check
def thunderbird_imap(site):
    """Opens the account, shows the folders, reads a letter with an attachment, moves it."""
    user = "theo"
    site.add_user(user)
    attached = dict(SET)["attachments"]
    site.send(user, letter("first"))
    site.send(user, attached)
    with imap(site, user) as box:
        for name in ("Work", "Work/2026", "Sent"):
            done(box.create(name.replace("/", separator(box))))
            done(box.subscribe(name.replace("/", separator(box))))
    with thunderbird(site) as (bird, shot):
        until(lambda: bird.run("return mail?.document.readyState == 'complete' && !!pane"), "a window")
        bird.run(
            """const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(
                 Ci.nsILoginInfo);
               login.init("imap://localhost", null, "imap://localhost", "theo", "secret", "", "");
               return Services.logins.addLoginAsync(login).then(() => {
                 server.password = "secret"; server.performExpand(mail.msgWindow); });"""
        )
        names = "return server.rootFolder.descendants.map(one => one.name.toLowerCase())"
        until(lambda: {"inbox", "work", "2026", "sent"} <= set(bird.run(names)), "the folders")
        bird.run("pane.displayFolder(folder('inbox').URI)")
        inbox = "return subjects(folder('inbox'))"
        until(lambda: bird.run(inbox) == ["attachments", "first"], "the letters in the list")
        shot("folders")
        bird.run(
            """const at = [...folder('inbox').messages].find(one => one.subject == 'attachments');
               pane.threadTree.selectedIndex = pane.gDBView.findIndexOfMsgHdr(at, true);"""
        )
        shown = """const text = pane.messageBrowser.contentWindow;
            return [text.getMessagePaneBrowser().contentDocument?.body?.innerText ?? "",
                    ...(text.currentAttachments ?? []).map(one => one.name)];"""
        until(lambda: bird.run(shown)[1:] == ["a.bin", "b.bin"], "its attachments")
        shot("letter")
        until(lambda: seen_by(site, user), "the letter is seen")
        bird.run("pane.commandController.doCommand('cmd_moveMessage', folder('work'))")
        until(lambda: bird.run(inbox) == ["first"], "the letter goes")
        bird.run("pane.displayFolder(folder('work').URI)")
        work = "return subjects(folder('work'))"
        until(lambda: bird.run(work) == ["attachments"], "the letter arrives")
        shot("moved")
        bird.run("pane.displayFolder(folder('inbox').URI)")
        site.send(user, letter("late"))
        until(lambda: bird.run(inbox) == ["first", "late"], "what comes is shown by IDLE")
        shot("late")
    with imap(site, user, "Work") as box:
        expect(list(subjects(box)) == ["attachments"], "it is not there")
        whole = done(box.fetch("1", "(BODY.PEEK[])"))[0][1]
        expect(whole.endswith(delivered(attached)), "it is not what was sent")


def separator(box):
    return done(box.list('""', '""'))[0].decode().split('"')[1]


def seen_by(site, user):
    with imap(site, user) as box:
        return rb"\Seen" in subjects(box).get("attachments", ())
