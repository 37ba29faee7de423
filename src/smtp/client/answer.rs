//! What the other side answered: RFC 5321 §4.2, RFC 2034 (enhanced status codes).
//!
//! The first digit decides (RFC 5321 §4.2.1), so that codes nobody has registered, like 200, mean
//! what they seem to. Where the other side said nothing an answer is made up, and says so.

use crate::limits;
use crate::text::printable;
use std::fmt;

/// What was being done when an answer came, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The connection.
    Connect,
    /// The greeting.
    Greeting,
    /// EHLO, HELO or LHLO.
    Hello,
    /// STARTTLS, and the handshake.
    StartTls,
    /// AUTH and what follows it.
    Auth,
    /// RSET.
    Reset,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, until the text may come.
    Data,
    /// The text.
    Text,
    /// The dot that ends it.
    End,
    /// QUIT.
    Quit,
}

/// What an answer means for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The letter is theirs now.
    Accepted,
    /// To be tried again.
    Temporary,
    /// To be returned.
    Permanent,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Three digits, from 200 to 599.
    pub code: u16,
    /// RFC 3463: `5.1.1`, where the reply has one that fits its code.
    pub status: Option<String>,
    /// What stands behind the code, an enhanced code included; printable, at least one line.
    pub lines: Vec<String>,
    /// What it answers.
    pub step: Step,
    /// The other side never said this.
    pub from_us: bool,
}

impl Answer {
    /// One that the other side never gave.
    pub fn made_up(code: u16, status: &str, step: Step, text: impl Into<String>) -> Answer {
        let lines = vec![format!("{status} {}", text.into())];
        Answer { code, status: Some(status.into()), lines, step, from_us: true }
    }

    /// RFC 5321 §4.2.1, and §4.5.3.1.10: too many recipients are no reason to give up, also where
    /// the server speaks as RFC 821 did.
    pub fn verdict(&self) -> Verdict {
        match self.code / 100 {
            2 => Verdict::Accepted,
            5 if self.code == 552 && self.step == Step::Rcpt && !self.from_us => Verdict::Temporary,
            5 => Verdict::Permanent,
            // 3yz goes on where something can; as the last word it is none.
            _ => Verdict::Temporary,
        }
    }

    /// Whether the other side is about to hang up (RFC 5321 §3.8).
    pub fn closes(&self) -> bool {
        self.code == 421
    }
}

impl fmt::Display for Answer {
    /// On one line: `550 5.1.1 No such user / Ask elsewhere`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.code)?;
        let mut between = " ";
        for line in self.lines.iter().filter(|line| !line.is_empty()) {
            write!(f, "{between}{line}")?;
            between = " / ";
        }
        Ok(())
    }
}

impl Step {
    /// As people are told.
    pub fn shown(self) -> &'static str {
        match self {
            Step::Connect => "the connection was made",
            Step::Greeting => "the greeting",
            Step::Hello => "EHLO",
            Step::StartTls => "STARTTLS",
            Step::Auth => "AUTH",
            Step::Reset => "RSET",
            Step::Mail => "MAIL",
            Step::Rcpt => "RCPT",
            Step::Data => "DATA",
            Step::Text => "the text",
            Step::End => "the final dot",
            Step::Quit => "QUIT",
        }
    }
}

/// A reply that is being read.
pub(super) struct Reading {
    step: Step,
    lines: Vec<String>,
    /// Lines and octets so far, those that are not kept as well.
    count: usize,
    octets: usize,
}

impl Reading {
    pub fn new(step: Step) -> Reading {
        Reading { step, lines: Vec::new(), count: 0, octets: 0 }
    }

    /// Takes a line without its end: `None` if more must come, an error where it is none of a
    /// reply. Where the lines have several codes the last one counts (RFC 5321 §4.2.1).
    pub fn take(&mut self, line: &[u8]) -> Result<Option<Answer>, String> {
        let garbage = || format!("'{}'", printable(&line[..line.len().min(80)]));
        let (digits, rest) = line.split_at_checked(3).ok_or_else(garbage)?;
        let is_code = matches!(digits[0], b'2'..=b'5') && digits.iter().all(u8::is_ascii_digit);
        let (text, more) = match rest {
            [] => (rest, false),
            [b' ', text @ ..] => (text, false),
            [b'-', text @ ..] => (text, true),
            _ => return Err(garbage()),
        };
        if !is_code {
            return Err(garbage());
        }
        self.count += 1;
        self.octets += text.len();
        if self.lines.is_empty() || self.octets <= limits::REPLY {
            self.lines.push(printable(text));
        }
        if more && self.count >= limits::REPLY_LINES {
            return Err(format!("a reply of more than {} lines", limits::REPLY_LINES));
        }
        if more {
            return Ok(None);
        }
        let code = digits.iter().fold(0, |code, digit| 10 * code + u16::from(digit - b'0'));
        let lines = std::mem::take(&mut self.lines);
        let status = lines.iter().find_map(|line| status(line, digits[0]));
        Ok(Some(Answer { code, status, lines, step: self.step, from_us: false }))
    }
}

/// RFC 2034 §4: at the start of a text, of the same class as the code.
fn status(text: &str, class: u8) -> Option<String> {
    let word = text.split([' ', '\t']).next()?;
    let mut numbers = word.split('.');
    let is_one = numbers.next()?.as_bytes() == [class]
        && numbers.clone().count() == 2
        && numbers.all(|number| {
            (1..=3).contains(&number.len()) && number.bytes().all(|octet| octet.is_ascii_digit())
        });
    is_one.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], step: Step) -> Result<Answer, String> {
        let mut reading = Reading::new(step);
        for line in lines {
            if let Some(answer) = reading.take(line.as_bytes())? {
                return Ok(answer);
            }
        }
        Err("more".into())
    }

    #[test]
    fn replies() {
        use Verdict::{Accepted, Permanent, Temporary};
        for (lines, code, status, verdict) in [
            (&["250 OK"][..], 250, None, Accepted),
            (&["250"], 250, None, Accepted),
            (&["200 fine"], 200, None, Accepted),
            (&["299 fine"], 299, None, Accepted),
            (&["250-one", "250-234 Text", "250 2.1.0 last"], 250, Some("2.1.0"), Accepted),
            (&["354 go on"], 354, None, Temporary),
            (&["450 4.2.0 busy"], 450, Some("4.2.0"), Temporary),
            (&["499 what"], 499, None, Temporary),
            (&["552 5.2.2 full"], 552, Some("5.2.2"), Temporary),
            (&["550 5.1.1 who"], 550, Some("5.1.1"), Permanent),
            (&["550 4.1.1 who"], 550, None, Permanent),
            (&["550 5.1 who"], 550, None, Permanent),
            (&["550 5.1.1234 who"], 550, None, Permanent),
            (&["550 5.1.1.1 who"], 550, None, Permanent),
            (&["599 never"], 599, None, Permanent),
            (&["250-mixed", "550 no"], 550, None, Permanent),
        ] {
            let answer = read(lines, Step::Rcpt).unwrap();
            assert_eq!((answer.code, answer.status.as_deref()), (code, status), "{lines:?}");
            assert_eq!(answer.verdict(), verdict, "{lines:?}");
        }
        assert_eq!(read(&["552 too large"], Step::End).unwrap().verdict(), Permanent);
        let answer = read(&["550-5.1.1 a\x1b", "550 5.1.1 b"], Step::Rcpt).unwrap();
        assert_eq!(answer.to_string(), "550 5.1.1 a\\x1b / 5.1.1 b");
    }

    #[test]
    fn no_replies() {
        for line in ["", "25", "2500 OK", "250OK", "1x0 a", "150 a", "650 a", "HTTP/1.1 400", "+OK"]
        {
            assert!(read(&[line], Step::Greeting).is_err(), "{line:?}");
        }
        assert!(read(&["250-a"; limits::REPLY_LINES + 1], Step::Hello).is_err());
        let long = format!("550-{}", "x".repeat(limits::REPLY / 4));
        let lines = [&[&*long; 100][..], &["450 last"]].concat();
        let answer = read(&lines, Step::Rcpt).unwrap();
        assert_eq!((answer.code, answer.lines.len()), (450, 4));
    }
}
