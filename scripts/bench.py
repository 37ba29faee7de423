"""How fast and how small: see scripts/bench.

Every figure is the median of five rounds, in which those that are compared take turns. Ours runs as
an administrator would run it: release build, no transcript, the log in a file, as Postfix's.
"""

import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
LOAD = pathlib.Path(os.environ["LOAD"]).resolve()
BIN = HERE.parent / "target/release"
TICK = os.sysconf("SC_CLK_TCK")
ROUNDS = 5
LETTER = 4096
MESSAGES = 20_000
SESSIONS = 5_000
TABLE = []


def run(*words, **more):
    return subprocess.run([str(word) for word in words], check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def load(*words):
    """One run of the load; its numbers by name, one dictionary a line."""
    lines = run(LOAD, *words).splitlines()
    return [{name: float(value) for name, value in (word.split("=") for word in line.split())} for line in lines]


def row(what, ours, other="", ratio="", target=""):
    TABLE.append((what, ours, other, ratio, target))
    print("  ".join(filter(None, (what, ours, other, ratio, target))), flush=True)


def judged(value, target, at_least=True):
    met = value >= target if at_least else value <= target
    return f"{'>=' if at_least else '<='} {target:g}: {'met' if met else 'MISSED'}"


def processes(root):
    """A process and all below it."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, look = [], [root]
    while look:
        pid = look.pop()
        found.append(pid)
        look += children.get(pid, [])
    return found


def cpu(root):
    """Seconds of a process, of all below it, and of those that they waited for."""
    ticks = 0
    for pid in processes(root):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICK


def syncs(root, work):
    """How many syncs a piece of work takes in these processes, by strace(1)."""
    with tempfile.NamedTemporaryFile("r") as out:
        words = ["strace", "-f", "-q", "-e", "trace=fsync,fdatasync,sync,syncfs", "-o", out.name]
        for pid in processes(root):
            words += ["-p", str(pid)]
        tracer = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        for pid in processes(root):
            while "TracerPid:\t0\n" in pathlib.Path(f"/proc/{pid}/status").read_text():
                time.sleep(0.01)
        work()
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        return sum("sync" in line and "resumed" not in line for line in out)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port):
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"bench: nobody listens on port {port}")


def wait(truth, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: {what} does not end")
        time.sleep(0.02)


def clear(directory):
    for file in directory.iterdir():
        file.unlink()


# -- those that are compared -----------------------------------------------------------------------

class Ours:
    """smtpd or pop3d on a site of scripts/class."""

    def __init__(self, base, name, role):
        self.site = base / "site"
        lines = ["max_connections=6000", "max_connections_per_address=6000", "smtp_timeout=1h", "pop3_timeout=1h"]
        offset = free_port() % 20_000 + 20_000
        run(HERE / "class", "start", self.site, offset, *lines, env={**os.environ, "BUZON_BIN": str(BIN)})
        run(HERE / "class", "stop", self.site)
        self.port = {"smtp": 2525, "pop3": 2110}[role] + offset
        self.address = f"127.0.0.1:{self.port}"
        self.log = open(base / f"{name}.log", "w")
        self.process = subprocess.Popen([BIN / name, "-f", self.site / "etc/buzon.conf", "-d"], stderr=self.log)
        self.pid = self.process.pid
        self.maildir = self.site / "mail/alice/Maildir"
        wait_port(self.port)

    def drained(self):
        return True

    def memory(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if " kB" in line}

    def end(self):
        self.process.terminate()
        self.process.wait()


class Sink:
    """The bare loop of benches/load.rs."""

    def __init__(self, base):
        self.maildir = base / "sink"
        self.process = subprocess.Popen([LOAD, "sink", self.maildir], stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.address = self.process.stdout.readline().strip()

    def drained(self):
        return True

    def end(self):
        self.process.kill()
        self.process.wait()


class Postfix:
    """Postfix as Debian has it, in an overlay of the root; its queue and mailboxes lie beside ours."""

    CONFIG = """compatibility_level = 3.6
myhostname = mail.example.test
mydestination =
virtual_mailbox_domains = example.test
virtual_mailbox_base = /var/vmail
virtual_mailbox_maps = inline:{{alice@example.test = alice/}}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_client_event_limit_exceptions = static:all
maillog_file = /var/log/postfix.log
"""

    def __init__(self, base):
        base = base / "postfix"
        self.root = base / "root"
        for part in ("upper", "work", "root", "spool", "mail/alice"):
            (base / part).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir=/,upperdir={base}/upper,workdir={base}/work", self.root)
        for mount in ("proc", "sys", "dev"):
            run("mount", "--rbind", f"/{mount}", self.root / mount)
        policy = self.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stderr": subprocess.STDOUT}
        run("chroot", self.root, "apt-get", "install", "-y", "-q", "--no-install-recommends", "postfix", **quiet)
        etc = self.root / "etc/postfix"
        (etc / "main.cf").write_text(self.CONFIG)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        master = [line for line in (etc / "master.cf").read_text().splitlines() if line[:1] not in "# "]
        master = [line.replace(" y ", " n ") for line in master if line]
        first = next(at for at, line in enumerate(master) if line.startswith("smtp "))
        master[first] = f"127.0.0.1:{self.port} inet n - n - - smtpd"
        if not any(line.startswith("postlog") for line in master):
            master.append("postlog unix-dgram n - n - 1 postlogd")
        (etc / "master.cf").write_text("\n".join(master) + "\n")
        # The queue and the mail on the plain file system, not on the overlay.
        run("cp", "-a", f"{self.root}/var/spool/postfix/.", base / "spool")
        (self.root / "var/vmail").mkdir()
        run("mount", "--bind", base / "spool", self.root / "var/spool/postfix")
        run("mount", "--bind", base / "mail", self.root / "var/vmail")
        run("chown", "-R", "65534:65534", base / "mail")
        run("chroot", self.root, "postfix", "start", stderr=subprocess.DEVNULL)
        wait_port(self.port)
        self.spool = base / "spool"
        self.pid = int((self.spool / "pid/master.pid").read_text())
        self.maildir = base / "mail/alice"

    def drained(self):
        queues = ("maildrop", "incoming", "active", "deferred")
        return not any(files for queue in queues for _, _, files in os.walk(self.spool / queue))

    def end(self):
        subprocess.run(["chroot", self.root, "postfix", "stop"], check=False, stderr=subprocess.DEVNULL)


class Dovecot:
    """Dovecot's pop3d on a mailbox of its own."""

    def __init__(self, base):
        base = base / "dovecot"
        self.home = base / "mail/alice"
        self.home.mkdir(parents=True)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        config = base / "dovecot.conf"
        config.write_text(f"""base_dir = {base}/run
log_path = {base}/log
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={base}/mail/%u
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
""")
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(config)])
        wait_port(self.port)

    def end(self):
        self.process.terminate()
        self.process.wait()


# -- what is measured ------------------------------------------------------------------------------

def smtp(base):
    peers = {"ours": Ours(base, "smtpd", "smtp"), "loop": Sink(base), "postfix": Postfix(base)}
    try:
        per_sync = {name: count_syncs(peer) for name, peer in peers.items()}
        row("syncs per letter, ours / loop / Postfix", *[f"{per_sync[name]:.2f}" for name in peers])
        for connections, letters, of_loop in ((10, 4000, 0.6), (1, 600, 0.8)):
            rate = {name: [] for name in peers}
            whole = {name: [] for name in peers}
            spent = {name: [] for name in peers}
            for _ in range(ROUNDS):
                for name, peer in peers.items():
                    before, start = cpu(peer.pid), time.monotonic()
                    result, = load("smtp", peer.address, connections, letters, LETTER, "alice@example.test")
                    wait(peer.drained, f"{name}'s queue")
                    whole[name].append(letters / (time.monotonic() - start))
                    rate[name].append(result["per_second"])
                    spent[name].append((cpu(peer.pid) - before) / letters * 1e6)
                    found = len(list((peer.maildir / "new").iterdir()))
                    if found != letters:
                        raise SystemExit(f"bench: {name} took {letters} letters and keeps {found}")
                    clear(peer.maildir / "new")
            print({name: [round(value) for value in values] for name, values in rate.items()})
            ours, loop, postfix = (statistics.median(rate[name]) for name in peers)
            what = f"letters/s, {connections} connection{'s'[:connections > 1]}"
            row(f"{what}: ours, bare loop", f"{ours:.0f}", f"{loop:.0f}", f"{ours / loop:.2f}", judged(ours / loop, of_loop))
            row(f"{what}: ours, Postfix", f"{ours:.0f}", f"{postfix:.0f}", f"{ours / postfix:.2f}", judged(ours / postfix, 2) + ", 3 wanted")
            ours, _, postfix = (statistics.median(whole[name]) for name in peers)
            row("  the same until all are in the mailbox", f"{ours:.0f}", f"{postfix:.0f}", f"{ours / postfix:.2f}")
            ours, loop, postfix = (statistics.median(spent[name]) for name in peers)
            row("  CPU us per letter: ours, Postfix", f"{ours:.0f}", f"{postfix:.0f}", f"{ours / postfix:.2f}", judged(ours / postfix, 0.5, False) + ", 0.33 wanted")
            row("  CPU us per letter: bare loop", "", f"{loop:.0f}")
    finally:
        for peer in peers.values():
            peer.end()


def count_syncs(peer):
    """Warms up, then counts over 100 letters."""
    for _ in range(2):
        load("smtp", peer.address, 5, 100, LETTER, "alice@example.test")
        wait(peer.drained, "the queue")

    def work():
        load("smtp", peer.address, 5, 100, LETTER, "alice@example.test")
        wait(peer.drained, "the queue")
    count = syncs(peer.pid, work)
    clear(peer.maildir / "new")
    return count / 100


def pop3(base):
    peers = {"ours": Ours(base, "pop3d", "pop3"), "dovecot": Dovecot(base)}
    try:
        shutil.rmtree(peers["ours"].maildir)
        run(LOAD, "maildir", peers["ours"].maildir, MESSAGES)
        run("cp", "-a", peers["ours"].maildir, peers["dovecot"].home)
        run("chown", "-R", "65534:65534", peers["ours"].maildir, peers["dovecot"].home)
        got = {name: [] for name in peers}
        for name, peer in peers.items():
            # Indexes, caches and pages become warm; Dovecot writes its own twice.
            load("pop3", peer.address, "alice", "secret", 2)
        for _ in range(ROUNDS):
            for name, peer in peers.items():
                got[name] += load("pop3", peer.address, "alice", "secret", 1)
        for name, rounds in got.items():
            print(name, [(round(r["stat_ms"], 1), round(r["per_second"])) for r in rounds])
        octets = got["ours"][0]["octets"]
        if octets != got["dovecot"][0]["octets"]:
            raise SystemExit("bench: the two give different octets")
        ours, theirs = (statistics.median(r["per_second"] for r in got[name]) for name in peers)
        row(f"RETR of {MESSAGES} ({octets / 1e6:.0f} MB), messages/s: ours, Dovecot", f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}", judged(ours / theirs, 1.5))
        ours, theirs = (statistics.median(r["stat_ms"] for r in got[name]) for name in peers)
        row("PASS to the first STAT, ms: ours, Dovecot", f"{ours:.1f}", f"{theirs:.1f}", f"{ours / theirs:.2f}", judged(ours / theirs, 0.5, False))
    finally:
        for peer in peers.values():
            peer.end()


def idle(base):
    for name, role in (("smtpd", "smtp"), ("pop3d", "pop3")):
        for tls, bound in (("plain", 32), ("tls", 64)):
            peer = Ours(base, name, role)
            try:
                hold(peer, role, 10, tls).communicate()
                time.sleep(0.5)
                before, stacks = peer.memory(), kernel_stacks()
                client = hold(peer, role, SESSIONS, tls)
                time.sleep(2)
                during, stacks = peer.memory(), kernel_stacks() - stacks
                client.communicate()
                each = (during["RssAnon"] - before["RssAnon"]) / SESSIONS
                tables = (during["VmPTE"] - before["VmPTE"]) / SESSIONS
                row(f"{SESSIONS} idle sessions of {name}, {tls}: KiB of RssAnon each", f"{each:.1f}", "", "", judged(each, bound, False))
                row("  kernel stacks and page tables, KiB each", f"{stacks / SESSIONS:.1f} {tables:.1f}")
            finally:
                peer.end()


def hold(peer, role, sessions, tls):
    client = subprocess.Popen([LOAD, "idle", role, peer.address, str(sessions), tls], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    said = client.stdout.readline()
    if said.strip() != f"sessions={sessions}":
        raise SystemExit(f"bench: only {said!r} of {sessions} sessions")
    return client


def kernel_stacks():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("KernelStack:"):
            return int(line.split()[1])
    return 0


def machine(base):
    cpus = [line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    print(f"machine: {len(cpus)} x {cpus[0]}, Linux {os.uname().release}, "
          f"{run('findmnt', '-n', '-o', 'FSTYPE,SOURCE,OPTIONS', '-T', base).strip()}; load average {os.getloadavg()[0]:.2f} "
          "at the start; clients and servers share these CPUs")


def main(words):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    base = pathlib.Path(tempfile.mkdtemp(prefix="buzon-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    base.chmod(0o755)
    machine(base)
    try:
        for part in (smtp, pop3, idle):
            if not words or part.__name__ in words:
                print(f"-- {part.__name__}", flush=True)
                part(base)
    finally:
        subprocess.run(f"umount -R {base}/postfix/root 2>/dev/null", shell=True, check=False)
        if not os.path.ismount(base / "postfix/root"):
            shutil.rmtree(base, ignore_errors=True)
    print("\nmedians of", ROUNDS, "rounds:")
    width = max(len(entry[0]) for entry in TABLE)
    for what, *figures in TABLE:
        print(f"{what:<{width}}  {figures[0]:>9} {figures[1]:>9} {figures[2]:>6}  {figures[3]}")
    machine("/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
