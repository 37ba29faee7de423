"""The dialogues, held with ours and with others, and one table of the codes: see scripts/compare.

parley(1) holds each dialogue with both and tells the rows that differ; here they are laid side by
side. A dialogue that a peer cannot be furnished for is named with the reason and not held.
"""

import pathlib
import re
import signal
import subprocess
import sys

import dialogue
from dovecot import Dovecot
from ours import HERE, Ours
from postfix import Postfix
from sendmail import Sendmail

PEERS = {"smtp": (Postfix, Sendmail), "pop3": (Dovecot,), "imap": (Dovecot,)}
DIALOGUES = HERE.parent / "tests/dialogues"
# Longer than any peer takes to look for a lock or to punish a guess.
PATIENCE = {"smtp": "12", "pop3": "20", "imap": "12"}
ROW = re.compile(r"\S+:(?P<line>\d+): +(?P<said>.*): +(?P<ours>[^:]*?) {2,}(?P<theirs>[^:]*)")


def programs():
    """parley of the newer build, as scripts/class takes it."""
    found = [HERE.parent / "target" / build / "parley" for build in ("release", "debug")]
    found = [program for program in found if program.exists()]
    if not found:
        raise SystemExit("compare: there is no parley: build it with 'make'")
    return max(found, key=lambda program: program.stat().st_mtime)


def hold(parley, patience, file, ours, peer):
    """Rows of one dialogue: line, what was said, and the codes of both."""
    words = [parley, "-s", "-t", patience, file, ours.address, peer.address]
    done = subprocess.run(words, text=True, capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    for line in done.stdout.splitlines():
        line = re.sub(r" +\(file: [^)]*\)$", "", line)
        # What a cell says in words, without the colon that parts the columns.
        line = re.sub(r"(no address for|not sent:) ", lambda m: m[0].replace(":", ""), line)
        row = ROW.fullmatch(line)
        if not row:
            print(f"compare: {line}", file=sys.stderr)
        elif "no address for" not in row["theirs"]:
            yield int(row["line"]), row["said"], row["ours"].strip(), row["theirs"].strip()


def columns(rows):
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths))
        print("  ".join(cells).rstrip())


def main(base, language, *files):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.stdout.reconfigure(line_buffering=True)
    files = [pathlib.Path(file) for file in files] or sorted((DIALOGUES / language).rglob("*.txt"))
    parley = programs()
    ours = Ours(pathlib.Path(base))
    table, held, skipped = {}, 0, []
    names = []
    for make in PEERS[language]:
        print(f"compare: {make.name} is installed and started", file=sys.stderr)
        peer = make(pathlib.Path(base), ours.tls)
        names.append(peer.name)
        try:
            for file in files:
                whole = file.resolve()
                short = whole.relative_to(DIALOGUES) if DIALOGUES in whole.parents else file
                site = dialogue.read(file)
                why = site.never or peer.cannot(site)
                if why:
                    skipped.append((str(short), peer.name, why))
                    continue
                peer.furnish(site)
                ours.furnish(site)
                for line, said, mine, theirs in hold(parley, PATIENCE[language], file, ours, peer):
                    cells = table.setdefault((str(short), line, said), {"ours": mine})
                    cells[peer.name] = theirs
                ours.stop()
                held += 1
        finally:
            peer.end()
    rows = [("dialogue", "said", "ours", *names)]
    for (file, line, said), cells in sorted(table.items()):
        rest = (cells.get(name, "=") for name in names)
        rows.append((f"{file}:{line}", said, cells["ours"], *rest))
    columns(rows)
    if skipped:
        print("\nnot held:")
        columns(skipped)
    print(f"\n{held} times held, {len(table)} answers differ; '=': as ours, or not come so far")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
