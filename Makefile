# buzon: build, try, test, install. `make run` and `make check` are where to begin.
#
# VENDORED=1 builds OpenSSL from source where libssl-dev cannot be had. `make install` puts the
# programs, manuals and systemd's units under PREFIX and, where there is none yet, the configuration
# under ETC; DESTDIR goes before both.

PREFIX = /usr/local
ETC = /etc
DESTDIR =
CARGO = cargo
VENDORED =
FEATURES = $(VENDORED:1=--features vendored-tls)

LIB = $(DESTDIR)$(PREFIX)/lib/buzon
MAN = $(DESTDIR)$(PREFIX)/share/man
DOC = $(DESTDIR)$(PREFIX)/share/doc/buzon
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
SBIN = smtpd pop3d imapd runq buzonctl deliver
BIN = parley
MTA = sendmail mailq
# The group of mail_owner, and the queue where sendmail drops letters for users.
GROUP = buzon
SPOOL = $(DESTDIR)/var/spool/buzon
MTA_PAGES = src/bin/sendmail.8 src/bin/mailq.1
PAGES = $$(find src -name '*.[158]' ! -name sendmail.8 ! -name mailq.1)
EXAMPLES = etc/inetd.conf etc/systemd/system-users.conf
# A file of ours with the paths it has here.
PLACED = sed 's,/usr/local/,$(PREFIX)/,g'

all: tools
	$(CARGO) build --release $(FEATURES)

# Two furnished sites on loopback ports, in the foreground, with the transcript on the screen.
run: all
	scripts/class run target/site

# Every test.
check: tools
	$(CARGO) test $(FEATURES)

# Style: what .ci/run asks for beside the tests.
lint: tools
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets $(FEATURES) -- -D warnings

# Against mail programs that nobody here wrote; as root it installs them with apt-get.
interop: all
	scripts/interop

# Installed in a root of its own, with accounts, inetd and systemd; as root only.
box: all
	scripts/box

# Beside Postfix, Dovecot and a bare loop; as root it installs them.
bench: all
	$(CARGO) build --release --bench load $(FEATURES)
	scripts/bench

# The dialogues, held with Postfix, sendmail and Dovecot too; as root it installs them.
compare: all
	scripts/compare smtp
	scripts/compare pop3
	scripts/compare imap

tools:
	@command -v $(CARGO) >/dev/null || { \
		echo "there is no '$(CARGO)': install Rust from https://rustup.rs" >&2; exit 1; }
	@[ -n "$(VENDORED)$$OPENSSL_DIR" ] || pkg-config --exists openssl 2>/dev/null || { \
		echo "the OpenSSL headers are missing; on Debian and Ubuntu:" >&2; \
		echo "  apt-get install -y libssl-dev pkg-config make gcc" >&2; \
		echo "or build OpenSSL from source: make VENDORED=1 ..." >&2; exit 1; }

install: all
	mkdir -p $(LIB) $(UNITS) $(DOC) $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	for program in $(SBIN) $(BIN); do \
		install -m 755 target/release/$$program $(LIB)/$$program || exit 1; done
	install -m 755 scripts/class $(LIB)/class
	scripts/links $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/sbin $(SBIN)
	scripts/links $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/bin $(BIN)
	for page in $(PAGES); do \
		mkdir -p $(MAN)/man$${page##*.} && \
		install -m 644 $$page $(MAN)/man$${page##*.} || exit 1; done
	for unit in etc/systemd/buzon-*; do \
		$(PLACED) $$unit >$(UNITS)/$${unit##*/} || exit 1; done
	for example in $(EXAMPLES); do \
		$(PLACED) $$example >$(DOC)/$${example##*/} || exit 1; done
	mkdir -p $(DESTDIR)$(ETC)/buzon/lists $(DESTDIR)$(ETC)/sysctl.d $(DESTDIR)$(ETC)/cron.d
	for file in buzon/buzon.conf buzon/users buzon/aliases buzon/virtual sysctl.d/60-buzon.conf; do \
		[ -e $(DESTDIR)$(ETC)/$$file ] || \
		install -m 644 etc/$$file $(DESTDIR)$(ETC)/$$file || exit 1; done
	[ -e $(DESTDIR)$(ETC)/cron.d/buzon ] || \
		$(PLACED) etc/cron.d/buzon >$(DESTDIR)$(ETC)/cron.d/buzon
	chmod o= $(DESTDIR)$(ETC)/buzon/users
	chgrp buzon $(DESTDIR)$(ETC)/buzon/users 2>/dev/null || echo "next, as root:" \
		"useradd -r -m -k /dev/null -d /var/lib/buzon -s /usr/sbin/nologin buzon;" \
		"chgrp buzon $(ETC)/buzon/users"

# What every other mail server has too, so it is asked for: PREFIX/sbin/sendmail and
# PREFIX/bin/mailq, with their manuals, after 'make install', unless somebody else's are there.
# sendmail is setgid, so that users can drop letters: as root, with the account that owns mail.
install-sendmail: all
	for program in $(MTA); do \
		install -m 755 target/release/$$program $(LIB)/$$program || exit 1; done
	@if chgrp $(GROUP) $(LIB)/sendmail 2>/dev/null && chmod 2755 $(LIB)/sendmail; then \
		[ -e $(SPOOL) ] || install -d -o $(GROUP) -g $(GROUP) -m 710 $(SPOOL); \
		install -d -o $(GROUP) -g $(GROUP) -m 710 $(SPOOL)/queue && \
		install -d -o $(GROUP) -g $(GROUP) -m 1730 $(SPOOL)/queue/drop && chmod g+x $(SPOOL); \
	else echo "install-sendmail: only root and $(GROUP) can send until, as root with the account" \
		"$(GROUP), this is done again" >&2; fi
	for page in $(MTA_PAGES); do install -m 644 $$page $(LIB)/ || exit 1; done
	scripts/links $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/sbin sendmail
	scripts/links $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/bin mailq
	mkdir -p $(MAN)/man8 $(MAN)/man1
	scripts/links $(PREFIX)/lib/buzon $(MAN)/man8 sendmail.8
	scripts/links $(PREFIX)/lib/buzon $(MAN)/man1 mailq.1

# The configuration and all mail stay.
uninstall:
	scripts/links -d $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/sbin $(SBIN) sendmail
	scripts/links -d $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/bin $(BIN) mailq
	scripts/links -d $(PREFIX)/lib/buzon $(MAN)/man8 sendmail.8
	scripts/links -d $(PREFIX)/lib/buzon $(MAN)/man1 mailq.1
	for page in $(PAGES); do rm -f $(MAN)/man$${page##*.}/$${page##*/}; done
	for unit in etc/systemd/buzon-*; do rm -f $(UNITS)/$${unit##*/}; done
	for example in $(EXAMPLES); do rm -f $(DOC)/$${example##*/}; done
	cd $(LIB) 2>/dev/null && rm -f $(SBIN) $(BIN) $(MTA) $(notdir $(MTA_PAGES)) class || true
	rm -f $(DESTDIR)$(ETC)/cron.d/buzon
	rmdir $(LIB) $(DOC) 2>/dev/null || true

.PHONY: all run check lint interop bench box compare tools install install-sendmail uninstall
