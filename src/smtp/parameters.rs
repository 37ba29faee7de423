//! The parameters of MAIL and RCPT: RFC 1870 §6, RFC 3030 §3, RFC 6531 §3.4, and what the sender
//! wants to hear of a letter (RFC 3461 §4).
//!
//! Each keyword once, known and with a value of its form, or the command is refused. What goes on
//! to other hosts (ENVID, ORCPT) is kept as it was written.

use super::reply::Reply;
use crate::limits;
use crate::queue::{Notify, Ret};
use crate::text::{Cursor, is_atext, is_vchar, printable};

/// The parameters of MAIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// RFC 1870 §6: octets, as the client reckons.
    pub size: Option<u64>,
    /// RFC 6152 §3: the letter may hold octets above 127.
    pub eight_bit: bool,
    /// RFC 3030 §3: the letter may hold any octets, and comes in chunks.
    pub binary: bool,
    /// RFC 6531 §3.4: addresses and header may hold UTF-8.
    pub utf8: bool,
    /// RFC 3461 §4.3: how much of it a report gives back.
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4: xtext.
    pub envid: Option<String>,
}

/// The parameters of RCPT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// RFC 3461 §4.1: of what the sender wants to hear.
    pub notify: Option<Notify>,
    /// RFC 3461 §4.2: a type, `;`, and the address that the sender wrote, in ASCII.
    pub orcpt: Option<String>,
}

/// A keyword and its value.
type Parameter<'a> = (&'a [u8], Option<&'a [u8]>);

/// Gives each parameter to `take`, none twice (RFC 3461 §4.5).
pub(super) fn each<'a>(
    cursor: &mut Cursor<'a>,
    mut take: impl FnMut(&'a [u8], Option<&'a [u8]>) -> Result<(), Reply>,
) -> Result<(), Reply> {
    let mut seen: Vec<&[u8]> = Vec::new();
    while let Some((keyword, value)) = parameter(cursor)? {
        if seen.iter().any(|other| other.eq_ignore_ascii_case(keyword)) {
            return Err(wrong("A parameter is said twice"));
        }
        seen.push(keyword);
        take(keyword, value)?;
    }
    Ok(())
}

/// RFC 5321 §4.1.2 (`esmtp-param`): a keyword, and a value after `=`.
fn parameter<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Parameter<'a>>, Reply> {
    cursor.spaces();
    if cursor.at_end() {
        return Ok(None);
    }
    let wrong = || wrong("A parameter is KEYWORD or KEYWORD=value");
    let keyword =
        cursor.run1(|octet| octet.is_ascii_alphanumeric() || octet == b'-').ok_or_else(wrong)?;
    let value = match cursor.literal("=") {
        Some(()) => Some(
            cursor
                .run1(|octet| octet > b' ' && octet != b'=' && octet != 0x7f)
                .ok_or_else(wrong)?,
        ),
        None => None,
    };
    match cursor.peek() {
        None | Some(b' ') => Ok(Some((keyword, value))),
        Some(_) => Err(wrong()),
    }
}

impl Parameters {
    pub(super) fn take(&mut self, keyword: &[u8], value: Option<&[u8]>) -> Result<(), Reply> {
        let text = value.map(|value| String::from_utf8_lossy(value).to_ascii_uppercase());
        match (keyword.to_ascii_uppercase().as_slice(), text.as_deref()) {
            (b"SIZE", Some(digits)) => {
                let valid =
                    digits.len() <= 20 && digits.bytes().all(|octet| octet.is_ascii_digit());
                let size = digits.parse().unwrap_or(u64::MAX);
                let wrong = || wrong("SIZE is a number of octets");
                self.size = Some(valid.then_some(size).ok_or_else(wrong)?);
            }
            // RFC 6152 §2: octets above 127 pass whatever is said.
            (b"BODY", Some("7BIT")) => {}
            (b"BODY", Some("8BITMIME")) => self.eight_bit = true,
            (b"BODY", Some("BINARYMIME")) => self.binary = true,
            (b"BODY", _) => {
                return Err(wrong("BODY is 7BIT, 8BITMIME or BINARYMIME").by("RFC 3030 §3"));
            }
            (b"SMTPUTF8", None) => self.utf8 = true,
            // RFC 4954 §5: who submitted it first; nobody here believes it.
            (b"AUTH", Some(_)) => {}
            (b"RET", Some("FULL")) => self.ret = Some(Ret::Full),
            (b"RET", Some("HDRS")) => self.ret = Some(Ret::Headers),
            (b"RET", _) => return Err(wrong("RET is FULL or HDRS").by("RFC 3461 §4.3")),
            (b"ENVID", Some(_)) => self.envid = Some(envid(value.unwrap_or_default())?),
            (b"SIZE" | b"AUTH" | b"SMTPUTF8" | b"ENVID", _) => {
                return Err(wrong("This parameter has another form"));
            }
            (keyword, _) => return Err(unknown(keyword)),
        }
        Ok(())
    }
}

impl Wishes {
    pub(super) fn take(&mut self, keyword: &[u8], value: Option<&[u8]>) -> Result<(), Reply> {
        match keyword.to_ascii_uppercase().as_slice() {
            b"NOTIFY" => self.notify = Some(notify(value.unwrap_or_default())?),
            b"ORCPT" => self.orcpt = Some(orcpt(value.unwrap_or_default())?),
            keyword => return Err(unknown(keyword)),
        }
        Ok(())
    }

    /// Whether something was wished for.
    pub fn is_some(&self) -> bool {
        self.notify.is_some() || self.orcpt.is_some()
    }
}

/// RFC 3461 §4.1.
fn notify(value: &[u8]) -> Result<Notify, Reply> {
    let rule = "RFC 3461 §4.1";
    let text = String::from_utf8_lossy(value).to_ascii_uppercase();
    if text == "NEVER" {
        return Ok(Notify::default());
    }
    let mut notify = Notify::default();
    for word in text.split(',') {
        match word {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            "NEVER" => return Err(wrong("NOTIFY=NEVER stands alone").by(rule)),
            _ => {
                let text = "NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY";
                return Err(wrong(text).by(rule));
            }
        }
    }
    Ok(notify)
}

/// RFC 3461 §4.2, and RFC 6533 §3 for the type of addresses in UTF-8.
fn orcpt(value: &[u8]) -> Result<String, Reply> {
    let rule = "RFC 3461 §4.2";
    let text = String::from_utf8_lossy(value);
    // The keyword and its sign count.
    if value.len() + "ORCPT=".len() > limits::ORCPT {
        return Err(wrong("ORCPT is longer than 500 characters").by(rule));
    }
    let (kind, address) = text.split_once(';').unwrap_or_default();
    if kind.is_empty() || !kind.bytes().all(is_atext) || !kind.is_ascii() {
        return Err(wrong("ORCPT is a type and an address: ORCPT=rfc822;luis@b.example").by(rule));
    }
    if kind.eq_ignore_ascii_case("utf-8") {
        return match unitext(address) {
            Some(address) => Ok(format!("{kind};{address}")),
            None => Err(wrong("The address in ORCPT is no unitext").by("RFC 6533 §3")),
        };
    }
    match is_xtext(address.as_bytes()) {
        true => Ok(text.into_owned()),
        false => Err(not_xtext("ORCPT").by(rule)),
    }
}

/// RFC 3461 §4.4.
fn envid(value: &[u8]) -> Result<String, Reply> {
    let rule = "RFC 3461 §4.4";
    if value.len() > limits::ENVID {
        return Err(wrong("ENVID is longer than 100 characters").by(rule));
    }
    match is_xtext(value) {
        true => Ok(String::from_utf8_lossy(value).into_owned()),
        false => Err(not_xtext("ENVID").by(rule)),
    }
}

/// RFC 3461 §4: printable ASCII, of which some and all blanks are written as `+` and two digits.
fn is_xtext(mut text: &[u8]) -> bool {
    let digit = |octet: u8| matches!(octet, b'0'..=b'9' | b'A'..=b'F');
    loop {
        match text {
            [] => return true,
            [b'+', high, low, rest @ ..] if digit(*high) && digit(*low) => {
                let is_printable = matches!((high, low), (b'0', b'9') | (b'2'..=b'7', _));
                if !is_printable || (*high, *low) == (b'7', b'F') {
                    return false;
                }
                text = rest;
            }
            [octet, rest @ ..] if is_vchar(*octet) && !b"+=".contains(octet) => text = rest,
            _ => return false,
        }
    }
}

/// RFC 6533 §3: characters above 127 written as the number they have in Unicode, so that the
/// address passes everywhere; `None` where it is written wrongly.
fn unitext(text: &str) -> Option<String> {
    let mut ascii = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(escape) = rest.strip_prefix("\\x{") {
            let (number, behind) = escape.split_once('}')?;
            let valid = (2..=6).contains(&number.len())
                && number.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'A'..=b'F'));
            char::from_u32(u32::from_str_radix(number, 16).ok().filter(|_| valid)?)?;
            ascii.push_str(&rest[..rest.len() - behind.len()]);
            rest = behind;
            continue;
        }
        match character {
            '\\' | '+' | '=' | char::REPLACEMENT_CHARACTER => return None,
            '!'..='~' => ascii.push(character),
            _ if character.is_ascii() || character.is_control() => return None,
            _ => ascii.push_str(&format!("\\x{{{:X}}}", character as u32)),
        }
        rest = &rest[character.len_utf8()..];
    }
    (!ascii.is_empty()).then_some(ascii)
}

fn wrong(text: &'static str) -> Reply {
    Reply::new(501, "5.5.4", text)
}

fn not_xtext(keyword: &str) -> Reply {
    let text = format!("{keyword} is printable ASCII, with + = and blanks written as +2B +3D +20");
    Reply::new(501, "5.5.4", text)
}

fn unknown(keyword: &[u8]) -> Reply {
    let shown = printable(&keyword[..keyword.len().min(40)]);
    let text = format!("The parameter '{shown}' is not known here");
    Reply::new(555, "5.5.4", text).by("RFC 5321 §4.1.1.11")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rcpt(text: &str) -> Result<Wishes, u16> {
        let mut wishes = Wishes::default();
        let each = each(&mut Cursor::new(text.as_bytes()), |key, value| wishes.take(key, value));
        each.map(|()| wishes).map_err(|reply| reply.code)
    }

    fn mail(text: &str) -> Result<Parameters, u16> {
        let mut found = Parameters::default();
        let each = each(&mut Cursor::new(text.as_bytes()), |key, value| found.take(key, value));
        each.map(|()| found).map_err(|reply| reply.code)
    }

    #[test]
    fn what_the_sender_wants_to_hear() {
        let of = |success, failure, delay| Some(Notify { success, failure, delay });
        for (text, notify) in [
            ("", None),
            ("NOTIFY=NEVER", of(false, false, false)),
            ("notify=success", of(true, false, false)),
            ("NOTIFY=Delay,FAILURE", of(false, true, true)),
        ] {
            assert_eq!(rcpt(text).unwrap().notify, notify, "{text}");
        }
        for text in ["NOTIFY", "NOTIFY=NEVER,DELAY", "NOTIFY=ALWAYS", "NOTIFY=DELAY NOTIFY=DELAY"] {
            assert_eq!(rcpt(text), Err(501), "{text}");
        }
    }

    #[test]
    fn addresses_as_the_sender_wrote_them() {
        for (text, orcpt) in [
            ("ORCPT=rfc822;Luis@Example.TEST", "rfc822;Luis@Example.TEST"),
            ("ORCPT=rfc822;luis+2Blista@b", "rfc822;luis+2Blista@b"),
            ("ORCPT=x-fax;+2B34+2091", "x-fax;+2B34+2091"),
            ("ORCPT=utf-8;peña@b", "utf-8;pe\\x{F1}a@b"),
            ("ORCPT=UTF-8;pe\\x{F1}a@b", "UTF-8;pe\\x{F1}a@b"),
        ] {
            assert_eq!(rcpt(text).unwrap().orcpt.as_deref(), Some(orcpt), "{text}");
        }
        let long = format!("ORCPT=rfc822;{}", "x".repeat(limits::ORCPT));
        for text in [
            "ORCPT",
            "ORCPT=luis@b",
            "ORCPT=;luis@b",
            "ORCPT=rfc822;luis+lista@b",
            "ORCPT=rfc822;a+2bb",
            "ORCPT=rfc822;a+00",
            "ORCPT=rfc822;a+7F",
            "ORCPT=rfc822;peña@b",
            "ORCPT=utf-8;a\\x{D800}",
            "ORCPT=utf-8;a\\xF1",
            "ORCPT=utf-8;",
            "ORCPT=rfc822;a ORCPT=rfc822;a",
            &long,
        ] {
            assert_eq!(rcpt(text), Err(501), "{text}");
        }
    }

    #[test]
    fn of_the_letter() {
        let found = mail("ret=hdrs ENVID=QQ+2B1").unwrap();
        assert_eq!((found.ret, found.envid.as_deref()), (Some(Ret::Headers), Some("QQ+2B1")));
        assert_eq!(mail("RET=FULL").unwrap().ret, Some(Ret::Full));
        let long = format!("ENVID={}", "x".repeat(limits::ENVID + 1));
        for text in ["RET", "RET=ALL", "ENVID", "ENVID=a+b", "ENVID=a ENVID=b", "ENVID=ñ", &long] {
            assert_eq!(mail(text), Err(501), "{text}");
        }
        for text in ["NOTIFY=NEVER", "FROB=1"] {
            assert_eq!(mail(text), Err(555), "{text}");
        }
        assert_eq!(rcpt("RET=FULL"), Err(555));
    }
}
