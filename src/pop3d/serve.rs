//! The loop of a session: a line, a command, a reply.
//!
//! Only here the three meet, with the transcript, the log, and the patience for errors.

use super::Live;
use super::command::{self, Command, Fault, Verb};
use super::reply::{Code, Reply, Status, Then};
use super::session::{Session, State};
use crate::conf::Site;
use crate::limits;
use crate::net::{self, Conn, Full, Hangup, Line, Transcript};
use std::time::Duration;

/// What a line came to: for the transcript, and for the session.
struct Heard {
    shown: String,
    parsed: Result<(Command, &'static Verb), Fault>,
}

/// Where a session is written down.
#[derive(Clone, Copy)]
struct Record<'a> {
    id: &'a str,
    transcript: &'a Transcript,
}

/// Serves one client to its end.
pub fn serve(served: net::Session, live: &Live) {
    let net::Session { site, mut conn, id, transcript, alone, .. } = served;
    let record = Record { id: &id, transcript: &transcript };
    let mut session = Session::new(&site, live, &id, alone);
    let end = match converse(&site, &mut conn, &mut session, record) {
        Ok(end) => end,
        Err(Hangup::Lost) => "lost",
        // RFC 1939 §3: a client that was silent is told nothing.
        Err(Hangup::Silent) => "silent",
        Err(Hangup::Stopping) => {
            let reply = Reply::code(Code::SysTemp, "the server stops, come back later");
            let _ = say(&mut conn, reply, &session.state, record, "RFC 3206 §4");
            "stopping"
        }
    };
    match &session.state {
        State::Transaction(maildrop) => {
            log::info!("{id} end={end} {}", maildrop.tally().without_update());
        }
        State::Update(tally) => log::info!("{id} end={end} {tally}"),
        State::Authorization { .. } | State::Exchange(..) => log::info!("{id} end={end}"),
    }
    transcript.event(&format!("end: {end}"));
    // Careful: before the client can know that we are gone, the maildrop is free for its next try.
    drop(session);
    conn.close();
}

/// The line that refuses a connection.
pub fn refuse(_: &Site, full: Full) -> String {
    let text = match full {
        Full::InAll => "too many connections, come back later",
        Full::FromAddress => "too many connections from your address",
        Full::Resources => "no room for another connection, come back later",
    };
    Reply::code(Code::SysTemp, text).one_line()
}

fn converse(
    site: &Site,
    conn: &mut Conn,
    session: &mut Session,
    record: Record,
) -> Result<&'static str, Hangup> {
    let mut errors = 0;
    say(conn, session.greeting(), &session.state, record, "RFC 1939 §4")?;
    loop {
        let line = conn.read_line(limits::POP3_LINE, site.pop3_timeout)?;
        let Heard { shown, parsed } = hear(&line, &session.state);
        record.transcript.client(&shown, session.state.name());
        let (result, section) = match parsed {
            Ok((command, verb)) => (session.execute(conn, command), verb.section),
            Err(fault) => (Err(session.refuse(fault)), "RFC 1939 §3"),
        };
        let (Ok(mut reply) | Err(mut reply)) = result;
        if reply.status == Status::Err {
            note(record.id, &shown, &reply, section);
        }
        if reply.is_fault() {
            errors += 1;
            reply = patience(site, conn, reply, errors)?;
        }
        let then = reply.then;
        say(conn, reply, &session.state, record, section)?;
        match then {
            Then::Read => {}
            Then::Close(end) => return Ok(end),
            Then::StartTls => {
                errors += start_tls(conn, record, site.pop3_timeout)?;
                session.reset();
            }
        }
    }
}

fn hear(line: &Line, state: &State) -> Heard {
    let octets = match line {
        Line::Text { octets, .. } => octets,
        Line::TooLong => {
            return Heard { shown: "(a line too long)".into(), parsed: Err(Fault::TooLong) };
        }
    };
    let (parsed, before_login) = match state {
        State::Exchange(..) => (command::parse_response(octets), true),
        State::Authorization { .. } => (command::parse(octets), true),
        State::Transaction(_) | State::Update(_) => (command::parse(octets), false),
    };
    let shown = match &parsed {
        Ok((command, _)) => command.shown(octets),
        Err(_) => command::shown_fault(octets, before_login),
    };
    Heard { shown, parsed }
}

/// A client that makes many errors is answered late, and at last no more.
fn patience(site: &Site, conn: &mut Conn, reply: Reply, errors: usize) -> Result<Reply, Hangup> {
    if errors >= limits::ERRORS {
        return Ok(Reply::err("too many errors, good-bye")
            .then(Then::Close("errors"))
            .by("RFC 1939 §4"));
    }
    if errors >= limits::ERRORS_SLOW {
        conn.flush()?;
        std::thread::sleep(site.failure_delay);
    }
    Ok(reply)
}

/// The line a refusal leaves in the log.
fn note(id: &str, shown: &str, reply: &Reply, section: &str) {
    let (rule, text) = (reply.rule.unwrap_or(section), reply.first_line());
    match &reply.cause {
        None => log::info!("{id} refused={shown:?} reply={text:?} rule={rule:?}"),
        Some(cause) => {
            log::error!("{id} refused={shown:?} reply={text:?} rule={rule:?} cause={cause:?}");
        }
    }
}

fn say(
    conn: &mut Conn,
    reply: Reply,
    state: &State,
    Record { id, transcript }: Record,
    section: &str,
) -> Result<(), Hangup> {
    if transcript.is_on() {
        let rule = reply.rule.unwrap_or(section);
        transcript.server(reply.shown().into_iter(), state.name(), rule);
    }
    reply.send(conn)?.map_err(|error| {
        log::error!("{id} message={:?}", error.to_string());
        Hangup::Lost
    })
}

/// RFC 2595 §4. The octets sent ahead of the handshake are an error of the client's, if not
/// somebody else's attempt.
fn start_tls(
    conn: &mut Conn,
    Record { id, transcript }: Record,
    stall: Duration,
) -> Result<usize, Hangup> {
    let ahead = conn.start_tls()?;
    conn.set_stall(stall)?;
    if let Some(tls) = conn.tls() {
        transcript.event(&format!("{} with {}", tls.version, tls.cipher));
        log::info!("{id} tls={} cipher={}", tls.version, tls.cipher);
    }
    if ahead == 0 {
        return Ok(0);
    }
    log::warn!("{id} thrown_away={ahead} rule=\"RFC 2595 §4\"");
    Ok(1)
}
