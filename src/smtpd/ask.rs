//! Questions: VRFY and EXPN (RFC 5321 §3.5, §4.1.1.6, §4.1.1.7), HELP (§4.1.1.8).

use super::envelope::elsewhere;
use super::session::Smtpd;
use crate::limits;
use crate::mail::{Mailbox, forward_path};
use crate::route::{self, Refusal};
use crate::smtp::command::{VERBS, find};
use crate::smtp::reply::Reply;
use crate::text::Cursor;

impl Smtpd<'_> {
    /// RFC 5321 §3.5.3: 252 where the site does not tell (§7.3).
    pub(super) fn vrfy(&self, who: &str, utf8: bool) -> Result<Reply, Reply> {
        let path = name_or_path(who)?;
        if !self.site.vrfy {
            let text = "We do not tell; send a letter and see";
            return Ok(Reply::new(252, "2.0.0", text).by("RFC 5321 §7.3"));
        }
        match route::verify(&self.site, &self.live.auth, &self.live.route, &path) {
            Ok(address) => Ok(told(Reply::new(250, "2.1.5", format!("<{address}>")), utf8)),
            // RFC 5321 §3.4
            Err(Refusal::Elsewhere(there)) => {
                let text = format!("User not local; will forward to <{there}>");
                Ok(told(Reply::new(251, "2.1.5", text).by("RFC 5321 §3.4"), utf8))
            }
            Err(Refusal::NotLocal) if self.is_held(&path.domain) => {
                let text = "Its mail is taken here and handed on; who is there we do not know";
                Ok(Reply::new(252, "2.1.5", text).by("RFC 5321 §3.5.3"))
            }
            Err(refusal) => Err(unknown(refusal, who, utf8)),
        }
    }

    /// RFC 5321 §3.5.1: one line a member. 252 where the site does not tell (§7.3).
    pub(super) fn expn(&self, who: &str, utf8: bool) -> Result<Reply, Reply> {
        let path = name_or_path(who)?;
        if !self.site.expn {
            let text = "We do not tell who is behind a name; send a letter and see";
            return Ok(Reply::new(252, "2.0.0", text).by("RFC 5321 §7.3"));
        }
        let members = route::members(&self.site, &self.live.auth, &self.live.route, &path)
            .map_err(|refusal| unknown(refusal, who, utf8))?;
        let mut lines = members.into_iter().map(|member| format!("<{member}>"));
        let first = lines.next().ok_or_else(|| unknown(Refusal::NoSuchUser, who, utf8))?;
        Ok(told(lines.fold(Reply::new(250, "2.1.5", first), Reply::and), utf8))
    }

    /// RFC 5321 §4.1.1.8.
    pub(super) fn help(&self, topic: &str) -> Result<Reply, Reply> {
        if topic.is_empty() {
            let names: Vec<_> = VERBS.iter().map(|verb| verb.name).collect();
            let mut reply = Reply::new(214, "2.0.0", "This is buzon; its commands are");
            for names in names.chunks(8) {
                reply = reply.and(format!("  {}", names.join(" ")));
            }
            return Ok(reply.and("HELP RCPT tells about RCPT; so for each of them"));
        }
        let Some(verb) = find(topic.as_bytes()) else {
            return Err(Reply::new(504, "5.5.4", "There is no such command; HELP lists them"));
        };
        let syntax = format!("{} {}", verb.name, verb.syntax).trim_end().to_owned();
        let section = verb.section.replace('§', "section ");
        Ok(Reply::new(214, "2.0.0", syntax).and(verb.meaning).and(section))
    }
}

/// RFC 5321 §4.1.1.6: a user name, or an address with or without angle brackets.
fn name_or_path(who: &str) -> Result<Mailbox, Reply> {
    let mut cursor = Cursor::new(who.as_bytes());
    if let Ok(path) = forward_path(&mut cursor)
        && cursor.at_end()
    {
        return Ok(path);
    }
    // RFC 5321 §4.1.2: control characters are in no name.
    let odd = |c: char| c.is_ascii_control() || ['@', '<', '>', '"', ' '].contains(&c);
    match who.len() > limits::LOCAL_PART || who.contains(odd) {
        true => Err(Reply::new(501, "5.5.4", "One name, or one address")),
        false => Ok(Mailbox { local_part: who.into(), domain: String::new() }),
    }
}

/// RFC 6531 §3.7.4.2: an address that is not ASCII only for those who asked for it so.
fn told(reply: Reply, utf8: bool) -> Reply {
    match (reply.is_ascii(), utf8) {
        (true, _) => reply,
        (false, true) => reply.in_utf8(),
        (false, false) => {
            Reply::new(252, "2.6.8", "Its address is not ASCII; ask again with SMTPUTF8 at the end")
                .by("RFC 6531 §3.7.4.2")
        }
    }
}

fn unknown(refusal: Refusal, who: &str, utf8: bool) -> Reply {
    match refusal {
        Refusal::NotLocal => Reply::new(550, "5.1.2", format!("{who} is not at a domain of ours"))
            .by("RFC 5321 §3.5.1"),
        Refusal::Elsewhere(there) => elsewhere(&there, utf8),
        Refusal::Unavailable(why) => {
            Reply::new(451, "4.3.0", "We cannot tell now, try again later").because(why)
        }
        Refusal::NotServed(why) => {
            Reply::new(550, "5.1.1", format!("There is no {who} here")).by("first_uid").because(why)
        }
        Refusal::NoSuchUser | Refusal::Loop | Refusal::TooMany => {
            Reply::new(550, "5.1.1", format!("There is no {who} here"))
        }
    }
}
