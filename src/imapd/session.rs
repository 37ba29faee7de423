//! One session: commands are gathered, parsed, executed, answered; and which may come in which
//! state (RFC 3501 §3, RFC 9051 §3).
//!
//! What changed in the mailbox is told before the tagged reply: all of it, or all but EXPUNGE where
//! message numbers are in flight (RFC 3501 §7.4.1).

use super::apart::Located;
use super::command::{self, Bad, Command, Tagged, Verb};
use super::gather::Gather;
use super::mailbox::leave;
use super::response::{self, Code, Condition, Status};
use super::set::Set;
use crate::auth::{self, User};
use crate::conf::{Role, Site};
use crate::limits;
use crate::net::{Conn, Full, Hangup, Session, Transcript};
use crate::store::{Folders, Selected};
use crate::sys::identity::Borrowed;
use crate::text::printable;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What sessions share beside the Site. Correctness never depends on it.
#[derive(Default)]
pub struct Live {
    /// The users file, logins under way, failures.
    pub auth: auth::Live,
}

/// A refusal is the `Err`.
pub(super) type Outcome = Result<Status, Status>;

/// RFC 3501 §3. Each state carries what exists only in it.
pub(super) enum State {
    NotAuthenticated,
    Authenticated(Account),
    Selected(Account, Box<Open>),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::NotAuthenticated => "not authenticated",
            State::Authenticated(_) => "authenticated",
            State::Selected(..) => "selected",
        }
    }

    pub fn account(&mut self) -> Option<&mut Account> {
        match self {
            State::NotAuthenticated => None,
            State::Authenticated(account) | State::Selected(account, _) => Some(account),
        }
    }
}

/// Whoever logged in.
pub(super) struct Account {
    pub user: User,
    pub folders: Folders,
    /// Whose rights the session has, to its end.
    pub _owner: Option<Borrowed>,
}

/// A mailbox that is selected.
pub(super) struct Open {
    pub name: String,
    pub mailbox: Selected,
    pub read_only: bool,
    /// RFC 5182 §2.1: what `$` stands for, as UIDs.
    pub saved: Set,
    /// Whether the last look at it failed, which the log says once.
    pub is_unsure: bool,
    /// The section of which the client has got a piece.
    pub located: Option<Located>,
}

/// A session at work.
pub(super) struct Imapd<'a> {
    pub site: Arc<Site>,
    pub live: &'a Live,
    pub conn: Conn,
    pub id: String,
    pub alone: bool,
    pub transcript: Transcript,
    /// ENABLE IMAP4rev2 (RFC 9051 §6.3.1).
    pub rev2: bool,
    /// ENABLE UTF8=ACCEPT (RFC 6855 §3).
    pub utf8: bool,
    pub errors: usize,
    /// The silence that is borne: a shorter one before the login.
    pub patience: Duration,
    /// Before the login: when that must be done.
    pub login_by: Option<Instant>,
    /// Whether a part of the response that is being written is with the client already.
    pub streamed: bool,
}

/// Before the first session: the thread that hears of changes in mailboxes.
pub fn begin() {
    if let Err(error) = crate::store::watch::start() {
        log::warn!("watch={error}; sessions in IDLE look once a second");
    }
}

/// Serves a session to its end.
pub fn serve(session: Session, live: &Live) {
    let Session { site, conn, id, transcript, alone, .. } = session;
    let patience = site.imap_timeout.min(limits::IMAP_LOGIN);
    let mut imapd = Imapd {
        site,
        live,
        conn,
        id,
        alone,
        transcript,
        rev2: false,
        utf8: false,
        errors: 0,
        patience,
        login_by: Some(Instant::now() + patience * limits::IMAP_LOGIN_IN_ALL),
        streamed: false,
    };
    let mut state = State::NotAuthenticated;
    let end = match imapd.run(&mut state) {
        Ok(()) => "logout",
        Err(Hangup::Lost) => "lost",
        Err(Hangup::Silent) => "timeout",
        Err(Hangup::Stopping) => "stopping",
    };
    let user =
        state.account().map_or(String::new(), |account| format!(" user={}", account.user.name));
    // Careful: the mailbox is closed by its owner's hand, and before the client can know that we
    // are gone.
    leave(&mut state);
    drop(state);
    let Imapd { id, conn, errors, transcript, .. } = imapd;
    transcript.event(end);
    log::info!("{id} end={end}{user} errors={errors}");
    conn.close();
}

/// What a connection reads that cannot be served (RFC 3501 §7.1.5).
pub fn refuse(_: &Site, full: Full) -> String {
    let text = match full {
        Full::InAll | Full::Resources => "Too many connections, try again later",
        Full::FromAddress => "Too many connections from your address, try again later",
    };
    let mut line = Vec::new();
    response::untagged(&mut line, &Status::bye(text).with(Code::Unavailable));
    String::from_utf8_lossy(&line).into_owned()
}

impl Imapd<'_> {
    fn run(&mut self, state: &mut State) -> Result<(), Hangup> {
        let text = format!("{} IMAP4rev1 and IMAP4rev2, buzon", self.site.hostname);
        let greeting = Status::ok(text).with(Code::Capability(self.capabilities(state)));
        self.untagged(&greeting, state, "RFC 3501 §7.1");
        loop {
            let mut gather = Gather::default();
            let gathered = match self.gather(&mut gather, state) {
                Ok(gathered) => gathered,
                Err(hangup) => return self.last_words(hangup, state),
            };
            let parsed = match gathered {
                Ok(()) => command::parse(gather.octets()),
                Err(status) => {
                    let (tag, verb) = command::head(gather.octets());
                    self.finish(tag.as_deref(), Err(status), verb, state)?;
                    continue;
                }
            };
            let done = match parsed {
                Ok(tagged) => self.perform(tagged, &mut gather, state),
                Err(bad) => self.refuse_command(bad, &mut gather, state).map(|()| false),
            };
            match done {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(hangup) => return self.last_words(hangup, state),
            }
        }
    }

    /// A command is carried out, and answered. Whether the session is over.
    fn perform(
        &mut self,
        tagged: Tagged,
        gather: &mut Gather,
        state: &mut State,
    ) -> Result<bool, Hangup> {
        let Tagged { tag, verb, command } = tagged;
        if self.transcript.is_on() {
            self.transcript.client(&command.shown(&tag, gather.octets()), state.name());
        }
        if let Err(status) = self.allowed(verb, state) {
            if matches!(command, Command::Append(..)) {
                self.skip(gather)?;
            }
            self.finish(Some(&tag), Err(status), Some(verb), state)?;
            return Ok(false);
        }
        let logout = matches!(command, Command::Logout);
        let tls = matches!(command, Command::StartTls);
        let may_expunge = !matches!(
            command,
            Command::Fetch { uid: false, .. }
                | Command::Store { uid: false, .. }
                | Command::Search { uid: false, .. }
        );
        let may_close = matches!(command, Command::Delete(_) | Command::Rename(..));
        let outcome = self.execute(command, &tag, gather, state)?;
        if may_close && outcome.is_ok() {
            self.leave_removed(state);
        }
        let news = if logout { Ok(()) } else { self.news(state, may_expunge) };
        let begins_tls = tls && outcome.is_ok();
        // Careful: what was done is told before the end, lest the client do it again elsewhere.
        self.finish(Some(&tag), outcome, Some(verb), state)?;
        news.map_err(|bye| self.put_out(&bye, state))?;
        if begins_tls {
            self.start_tls()?;
        }
        Ok(logout)
    }

    /// Which command in which state: the table says it (RFC 3501 §6).
    pub(super) fn allowed(&self, verb: &Verb, state: &State) -> Result<(), Status> {
        use super::command::State as When;
        match (verb.state, state) {
            (When::Any, _)
            | (When::NotAuthenticated, State::NotAuthenticated)
            | (When::Authenticated, State::Authenticated(_) | State::Selected(..))
            | (When::Selected, State::Selected(..)) => Ok(()),
            (When::NotAuthenticated, _) => Err(Status::bad("You are logged in already")),
            (_, State::NotAuthenticated) => {
                Err(Status::bad("Log in first: a1 LOGIN user password"))
            }
            (When::Selected, _) => Err(Status::bad("Select a mailbox first: a2 SELECT INBOX")),
        }
        .map_err(|status| status.by("RFC 3501 §3"))
    }

    /// RFC 3501 §6, in its order.
    fn execute(
        &mut self,
        command: Command,
        tag: &str,
        gather: &mut Gather,
        state: &mut State,
    ) -> Result<Outcome, Hangup> {
        Ok(match (command, &mut *state) {
            // RFC 3501 §6.1: any state
            (Command::Capability, _) => self.capability(state),
            (Command::Noop, _) => Ok(Status::ok("Nothing done")),
            (Command::Logout, _) => self.logout(state),
            (Command::Id(fields), _) => self.id(&fields),

            // RFC 3501 §6.2: not authenticated
            (Command::StartTls, _) => self.ready_for_tls(),
            (Command::Authenticate(mechanism, initial), _) => {
                self.authenticate(&mechanism, initial, state)?
            }
            (Command::Login(user, password), _) => self.login(&user, &password, state),

            // RFC 3501 §6.3: authenticated
            (Command::Enable(names), _) => self.enable(&names),
            (Command::Select(mailbox), _) => self.select(&mailbox, false, state),
            (Command::Examine(mailbox), _) => self.select(&mailbox, true, state),
            (Command::Append(mailbox, first), _) => self.append(&mailbox, first, gather, state)?,
            (Command::Idle, _) => self.idle(state)?,
            (Command::Close, State::Selected(..)) => self.close(state),
            (Command::Unselect, State::Selected(..)) => self.unselect(state),

            // RFC 3501 §6.4: selected
            (command, State::Selected(account, open)) => {
                self.in_mailbox(command, tag, account, open)?
            }
            (command, State::Authenticated(account)) => self.of_folders(command, account),
            (_, State::NotAuthenticated) => Err(Status::bad("Log in first")),
        })
    }

    /// RFC 3501 §6.4, where a mailbox is selected; what is no such command is one of folders.
    fn in_mailbox(
        &mut self,
        command: Command,
        tag: &str,
        account: &mut Account,
        open: &mut Open,
    ) -> Result<Outcome, Hangup> {
        if open.mailbox.is_at_rest() {
            let text = "The mailbox cannot be read now; the log says why";
            return Ok(Err(Status::no(Code::Unavailable, text).by("RFC 5530 §3")));
        }
        Ok(match command {
            Command::Check => self.check(open),
            Command::Expunge(uids) => self.expunge(uids.as_ref(), open),
            Command::Search { uid, search } => self.search(uid, &search, tag, open),
            Command::Fetch { uid, set, items } => self.fetch(uid, &set, &items, open)?,
            Command::Store { uid, set, store } => self.store(uid, &set, &store, open),
            Command::Copy { uid, set, to } => self.copy(uid, &set, &to, account, open),
            Command::Move { uid, set, to } => self.move_to(uid, &set, &to, account, open),
            command => self.of_folders(command, account),
        })
    }

    /// RFC 3501 §6.3.3 to §6.3.10: mailboxes by their names.
    fn of_folders(&mut self, command: Command, account: &mut Account) -> Outcome {
        match command {
            Command::Create(mailbox, uses) => self.create(&mailbox, &uses, account),
            Command::Delete(mailbox) => self.delete(&mailbox, account),
            Command::Rename(from, to) => self.rename(&from, &to, account),
            Command::Subscribe(mailbox) => self.subscribe(&mailbox, account),
            Command::Unsubscribe(mailbox) => self.unsubscribe(&mailbox, account),
            Command::List(list) => self.list(&list, account),
            Command::Lsub(reference, pattern) => self.lsub(&reference, &pattern, account),
            Command::Namespace => self.namespace(),
            Command::Status(mailbox, items) => self.status(&mailbox, &items, account),
            _ => Err(Status::bad("Not now").by("RFC 3501 §3")),
        }
    }

    /// Octets that are no command.
    fn refuse_command(
        &mut self,
        bad: Bad,
        gather: &mut Gather,
        state: &mut State,
    ) -> Result<(), Hangup> {
        let before_login = matches!(state, State::NotAuthenticated);
        if self.transcript.is_on() {
            let shown = command::shown_fault(gather.octets(), before_login);
            self.transcript.client(&shown, state.name());
        }
        self.skip(gather)?;
        let status = Status::bad(bad.text);
        self.finish(bad.tag.as_deref(), Err(status), bad.verb, state)
    }

    /// The tagged reply; what was wrong without a tag is told untagged (RFC 3501 §7.1.3).
    fn finish(
        &mut self,
        tag: Option<&str>,
        outcome: Outcome,
        verb: Option<&Verb>,
        state: &State,
    ) -> Result<(), Hangup> {
        let (Ok(status) | Err(status)) = outcome;
        let rule = status.rule.or(verb.map(|verb| verb.section)).unwrap_or("RFC 3501 §2.2.1");
        let before_login = matches!(state, State::NotAuthenticated);
        if status.condition != Condition::Ok {
            self.note(&status, verb, rule);
        }
        if status.condition == Condition::Bad {
            self.errors += 1;
            if self.errors >= limits::ERRORS_SLOW {
                std::thread::sleep(self.site.failure_delay);
            }
        } else if status.condition == Condition::Ok && !before_login {
            // Whoever gets something done is no prober.
            self.errors = 0;
        }
        // Before the login a word that stands alone may be a password.
        let secret = verb.is_none() && before_login;
        let shown =
            format!("{} {status}", tag.map_or("*", |tag| if secret { "****" } else { tag }));
        self.transcript.server([shown].into_iter(), state.name(), rule);
        response::tagged(self.conn.output(), tag.unwrap_or("*"), &status);
        self.conn.flush_full()?;
        if self.errors >= limits::ERRORS {
            self.untagged(&Status::bye("Too many errors, good-bye"), state, "RFC 3501 §7.1.5");
            return Err(Hangup::Lost);
        }
        Ok(())
    }

    fn note(&self, status: &Status, verb: Option<&Verb>, rule: &str) {
        let (id, condition) = (&self.id, status.condition.name());
        let verb = verb.map_or("?", |verb| verb.name);
        let text = printable(status.text.as_bytes());
        match &status.cause {
            Some(cause) => log::warn!(
                "{id} refused={condition} command={verb:?} rule={rule:?} text={text:?} cause={cause:?}"
            ),
            None => {
                log::info!("{id} refused={condition} command={verb:?} rule={rule:?} text={text:?}");
            }
        }
    }

    /// A status that ends no command.
    pub(super) fn untagged(&mut self, status: &Status, state: &State, rule: &str) {
        self.transcript.server([format!("* {status}")].into_iter(), state.name(), rule);
        response::untagged(self.conn.output(), status);
    }

    /// RFC 3501 §7.5.
    pub(super) fn go_on(&mut self, text: &str, state: &State) {
        self.transcript.server([format!("+ {text}")].into_iter(), state.name(), "RFC 3501 §7.5");
        response::go_on(self.conn.output(), text);
    }

    /// RFC 3501 §5.4, §7.1.5: BYE when we end it.
    fn last_words(&mut self, hangup: Hangup, state: &State) -> Result<(), Hangup> {
        let text = match hangup {
            Hangup::Lost => return Err(hangup),
            Hangup::Silent => "You took too long, good-bye",
            Hangup::Stopping => "The service is stopping, come again",
        };
        let status = Status::bye(text).with(Code::Unavailable);
        self.untagged(&status, state, "RFC 3501 §7.1.5");
        let _ = self.conn.flush();
        Err(hangup)
    }
}

/// The port's own name for logs.
pub const ROLES: &[Role] = &[Role::Imap, Role::Imaps];
