//! A letter on its way, as a value: from whom, to whom, how it is to be sent, and how far each
//! recipient has come.
//!
//! RFC 5321 §2.3.1 for the envelope, RFC 3461 for what reports are wanted. A recipient is an
//! address to be resolved when its turn comes, or what an address was resolved to before: a program
//! or a file. `file` writes and reads it.

use crate::mail::Mailbox;

/// Everything that is known of a letter beside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The name of the letter; ids sort by time.
    pub id: String,
    /// When it came in, seconds since 1970.
    pub arrived: u64,
    /// `None` for `<>`.
    pub reverse_path: Option<Mailbox>,
    /// What its text may hold.
    pub body: Body,
    /// RFC 6531 §3.4: addresses and header may hold UTF-8.
    pub utf8: bool,
    /// RFC 3461 §4.3: how much of it a report gives back.
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4, as xtext.
    pub envid: Option<String>,
    /// Who handed it over, where somebody logged in or it came from a program of this host.
    pub submitter: Option<String>,
    /// It is for the members of a list, each of whom gets a transaction of their own.
    pub is_list: bool,
    /// In the order in which they were named; later ones come from aliases.
    pub recipients: Vec<Recipient>,
    /// Passes in which at least one recipient was tried.
    pub attempts: u32,
    /// The sender was told that it takes long.
    pub is_delay_told: bool,
}

/// RFC 6152 §3 and RFC 3030 §3, of a letter whose binary parts are base64 already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// ASCII.
    #[default]
    SevenBit,
    /// Any octets in lines.
    EightBit,
}

/// RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// The whole letter.
    Full,
    /// Its header.
    Headers,
}

/// RFC 3461 §4.1: of what the sender wants to hear. Nothing at all is NEVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// It arrived.
    pub success: bool,
    /// It cannot arrive.
    pub failure: bool,
    /// It takes long.
    pub delay: bool,
}

impl Notify {
    /// What holds where the sender said nothing (RFC 3461 §4.1).
    pub const DEFAULT: Notify = Notify { success: false, failure: true, delay: true };
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its place in the envelope, from 1; it never changes.
    pub number: usize,
    /// The address it goes to, or for programs and files the one that led there.
    pub path: Mailbox,
    /// What is there.
    pub goal: Goal,
    /// `None` where MAIL and RCPT said nothing: `Notify::DEFAULT`.
    pub notify: Option<Notify>,
    /// RFC 3461 §4.2: `rfc822;` and the address the sender wrote, as xtext.
    pub orcpt: Option<String>,
    /// The reverse-path for this one where an alias has an owner or a forwarder signs it; `None`
    /// for that of the letter.
    pub sender: Option<Mailbox>,
    /// How far it has come.
    pub state: State,
}

/// What a recipient is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// The address: here or at another host.
    Address,
    /// The mailbox of this user; aliases are done with.
    User(String),
    /// A command for the shell, run as this user, or as the account for programs of aliases.
    Program(String, Option<String>),
    /// A file to append to, written as this user, or as that account.
    File(String, Option<String>),
}

/// How far a recipient has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not tried, or to be tried again after what was said last.
    Waiting(Option<Said>),
    /// Delivered, handed on, or replaced by those it stands for.
    Done,
    /// It cannot be delivered, and the sender has not been told.
    Failed(Said),
    /// Nothing is left to be done, though it was not delivered.
    Reported,
}

/// Why it was not delivered, in words for a report (RFC 3464 §2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When, seconds since 1970.
    pub at: u64,
    /// RFC 3463.
    pub status: String,
    /// The host that said so; `None` where we did.
    pub host: Option<String>,
    /// Its reply from the code on, or our own words. One line.
    pub text: String,
}

impl Recipient {
    /// An address nobody has tried.
    pub fn new(number: usize, path: Mailbox) -> Recipient {
        let (goal, state) = (Goal::Address, State::Waiting(None));
        Recipient { number, path, goal, notify: None, orcpt: None, sender: None, state }
    }

    /// Whether it is still to be delivered.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Of what the sender wants to hear.
    pub fn notify(&self) -> Notify {
        self.notify.unwrap_or(Notify::DEFAULT)
    }
}

impl Envelope {
    /// A letter for these addresses that came just now.
    pub fn new(id: String, arrived: u64, reverse_path: Option<Mailbox>) -> Envelope {
        Envelope {
            id,
            arrived,
            reverse_path,
            body: Body::default(),
            utf8: false,
            ret: None,
            envid: None,
            submitter: None,
            is_list: false,
            recipients: Vec::new(),
            attempts: 0,
            is_delay_told: false,
        }
    }

    /// One more recipient, with the next number.
    pub fn add(&mut self, path: Mailbox) -> &mut Recipient {
        let number = self.recipients.len() + 1;
        self.recipients.push(Recipient::new(number, path));
        &mut self.recipients[number - 1]
    }

    /// The reverse-path a recipient's copy leaves under.
    pub fn sender<'a>(&'a self, to: &'a Recipient) -> Option<&'a Mailbox> {
        to.sender.as_ref().or(self.reverse_path.as_ref())
    }

    /// Whether nobody waits and nobody is to be told.
    pub fn is_finished(&self) -> bool {
        let ended = |to: &Recipient| matches!(to.state, State::Done | State::Reported);
        self.recipients.iter().all(ended)
    }
}
