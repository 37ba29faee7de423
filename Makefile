# buzon: build, try, test, install. `make run` and `make check` are where to begin.
#
# VENDORED=1 builds OpenSSL from source where libssl-dev cannot be had. `make install` puts the
# programs under PREFIX and, where there is none yet, the configuration under ETC.

PREFIX = /usr/local
ETC = /etc
DESTDIR =
CARGO = cargo
VENDORED =
FEATURES = $(VENDORED:1=--features vendored-tls)

LIB = $(DESTDIR)$(PREFIX)/lib/buzon
MAN = $(DESTDIR)$(PREFIX)/share/man
SBIN = smtpd pop3d buzonctl
BIN = parley

all: tools
	$(CARGO) build --release $(FEATURES)

# A furnished site on loopback ports, in the foreground, with the transcript on the screen.
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

# Beside Postfix, Dovecot and a bare loop; as root it installs them.
bench: all
	$(CARGO) build --release --benches $(FEATURES)
	scripts/bench

tools:
	@command -v $(CARGO) >/dev/null || { \
		echo "there is no '$(CARGO)': install Rust from https://rustup.rs" >&2; exit 1; }
	@[ -n "$(VENDORED)$$OPENSSL_DIR" ] || pkg-config --exists openssl 2>/dev/null || { \
		echo "the OpenSSL headers are missing; on Debian and Ubuntu:" >&2; \
		echo "  apt-get install -y libssl-dev pkg-config make gcc" >&2; \
		echo "or build OpenSSL from source: make VENDORED=1 ..." >&2; exit 1; }

install: all
	mkdir -p $(LIB) $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	for program in $(SBIN) $(BIN); do \
		install -m 755 target/release/$$program $(LIB)/$$program || exit 1; done
	install -m 755 scripts/class $(LIB)/class
	scripts/links $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/sbin $(SBIN)
	scripts/links $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/bin $(BIN)
	for page in $$(find src -name '*.[158]'); do \
		mkdir -p $(MAN)/man$${page##*.} && \
		install -m 644 $$page $(MAN)/man$${page##*.} || exit 1; done
	mkdir -p $(DESTDIR)$(ETC)/buzon
	for file in buzon.conf users aliases; do \
		[ -e $(DESTDIR)$(ETC)/buzon/$$file ] || \
		install -m 644 etc/buzon/$$file $(DESTDIR)$(ETC)/buzon/$$file || exit 1; done
	chmod o= $(DESTDIR)$(ETC)/buzon/users
	chgrp buzon $(DESTDIR)$(ETC)/buzon/users 2>/dev/null || \
		echo "next: useradd -r -s /usr/sbin/nologin buzon; chgrp buzon $(ETC)/buzon/users"

# The configuration and all mail stay.
uninstall:
	scripts/links -d $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/sbin $(SBIN)
	scripts/links -d $(PREFIX)/lib/buzon $(DESTDIR)$(PREFIX)/bin $(BIN)
	for page in $$(find src -name '*.[158]'); do \
		rm -f $(MAN)/man$${page##*.}/$${page##*/}; done
	for program in $(SBIN) $(BIN) class; do rm -f $(LIB)/$$program; done
	rmdir $(LIB) 2>/dev/null || true

.PHONY: all run check lint interop bench tools install uninstall
