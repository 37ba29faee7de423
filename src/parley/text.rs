//! The text of a line: octets, `...` and `%{...}`.
//!
//! One form serves both sides. What is sent is computed; what is expected is matched, where `...`
//! stands for any run of octets and `%{name}` takes what stands there the first time and must meet
//! the same again later. The language: parley-dialogue(5).

use crate::limits;
use crate::sys;
use crate::text::{Cursor, nearest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What `%{name}` took, by name.
pub type Captures = HashMap<String, Vec<u8>>;

/// A line to send or to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    parts: Vec<Part>,
    /// As it stands in the file.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Octets(Vec<u8>),
    Any,
    Name(String),
    Base64(Vec<Part>),
    Md5(Vec<Part>),
    HmacMd5(Vec<Part>, Vec<Part>),
    Length(Vec<Part>),
    FileLength(PathBuf),
    Times(usize, Vec<Part>),
}

/// Where a text stands decides what is special in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `C:`: only `%{`.
    Line,
    /// `C!`: also backslashes.
    Raw,
    /// `S:`: also `...`.
    Expected,
    /// Inside `%{...}`: backslashes, up to the brace.
    Argument,
    /// The first of two arguments: also up to the space.
    Word,
}

const FUNCTIONS: [&str; 6] = ["b64", "md5", "hmac-md5", "len", "times", "port"];

impl Text {
    /// What follows `C:`.
    pub fn line(source: &str) -> Result<Text, String> {
        Text::parse(source, Place::Line)
    }

    /// What follows `C!`.
    pub fn raw(source: &str) -> Result<Text, String> {
        Text::parse(source, Place::Raw)
    }

    /// What follows `S:`.
    pub fn expected(source: &str) -> Result<Text, String> {
        Text::parse(source, Place::Expected)
    }

    fn parse(source: &str, place: Place) -> Result<Text, String> {
        let parts = parts(&mut Cursor::new(source.as_bytes()), place)?;
        Ok(Text { parts, source: source.to_string() })
    }

    /// Whether it is `...` alone.
    pub fn is_anything(&self) -> bool {
        self.parts == [Part::Any]
    }

    /// The octets to send; `directory` is where files are looked for.
    pub fn octets(&self, captures: &Captures, directory: &Path) -> Result<Vec<u8>, String> {
        compute(&self.parts, captures, directory)
    }

    /// Whether a line is the expected one; what it captures is kept only if it is.
    pub fn matches(
        &self,
        line: &[u8],
        captures: &mut Captures,
        directory: &Path,
    ) -> Result<bool, String> {
        let mut pieces = Vec::new();
        for part in &self.parts {
            pieces.push(match part {
                Part::Any => Piece::Any,
                Part::Name(name) if !captures.contains_key(name) => Piece::Capture(name),
                part => Piece::Octets(compute(std::slice::from_ref(part), captures, directory)?),
            });
        }
        let mut found = Vec::new();
        let fits = fits(&pieces, line, &mut found);
        if fits {
            captures.extend(found.into_iter().map(|(name, run)| (name.to_string(), run.to_vec())));
        }
        Ok(fits)
    }
}

/// A part of an expected line when it is compared.
enum Piece<'a> {
    Octets(Vec<u8>),
    Any,
    Capture(&'a str),
}

fn fits<'a>(pieces: &[Piece<'a>], line: &'a [u8], found: &mut Vec<(&'a str, &'a [u8])>) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return line.is_empty();
    };
    let (least, name) = match piece {
        Piece::Octets(octets) => {
            return line.strip_prefix(&octets[..]).is_some_and(|line| fits(rest, line, found));
        }
        Piece::Any => (0, None),
        Piece::Capture(name) => (1, Some(*name)),
    };
    if rest.is_empty() && line.len() >= least {
        found.extend(name.map(|name| (name, line)));
        return true;
    }
    (least..=line.len()).any(|end| {
        let fits = fits(rest, &line[end..], found);
        if fits {
            found.extend(name.map(|name| (name, &line[..end])));
        }
        fits
    })
}

fn compute(parts: &[Part], captures: &Captures, directory: &Path) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let inner = |parts: &[Part]| compute(parts, captures, directory);
    for part in parts {
        match part {
            Part::Octets(more) => octets.extend(more),
            Part::Any => octets.extend(b"..."),
            Part::Name(name) => octets.extend(
                captures.get(name).ok_or_else(|| format!("nothing was taken as %{{{name}}}"))?,
            ),
            Part::Base64(text) => octets.extend(BASE64_STANDARD.encode(inner(text)?).bytes()),
            Part::Md5(text) => octets.extend(hex(&Md5::digest(inner(text)?)).bytes()),
            Part::HmacMd5(key, text) => {
                octets.extend(hex(&hmac_md5(&inner(key)?, &inner(text)?)?).bytes());
            }
            Part::Length(text) => octets.extend(inner(text)?.len().to_string().bytes()),
            Part::FileLength(file) => {
                let path = directory.join(file);
                let content = sys::file::read(&path, limits::TABLE_FILE)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                octets.extend(content.len().to_string().bytes());
            }
            Part::Times(times, text) => {
                let mut numbered = captures.clone();
                for i in 1..=*times {
                    numbered.insert("i".into(), i.to_string().into_bytes());
                    octets.extend(compute(text, &numbered, directory)?);
                }
            }
        }
    }
    Ok(octets)
}

/// RFC 2104 over MD5, as CRAM-MD5 uses it (RFC 2195 §2).
fn hmac_md5(key: &[u8], text: &[u8]) -> Result<Vec<u8>, String> {
    let sign = || {
        let key = PKey::hmac(key)?;
        Signer::new(MessageDigest::md5(), &key)?.sign_oneshot_to_vec(text)
    };
    sign().map_err(|error| format!("hmac-md5: {error}"))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn parts(cursor: &mut Cursor, place: Place) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut octets = Vec::new();
    while let Some(octet) = cursor.peek() {
        let special = match octet {
            b'}' if matches!(place, Place::Argument | Place::Word) => break,
            b' ' if place == Place::Word => break,
            b'.' if place == Place::Expected => cursor.literal("...").map(|()| Part::Any),
            b'%' => match cursor.literal("%{") {
                Some(()) => Some(expression(cursor)?),
                None => None,
            },
            _ => None,
        };
        if let Some(part) = special {
            parts.extend((!octets.is_empty()).then(|| Part::Octets(std::mem::take(&mut octets))));
            parts.push(part);
        } else if octet == b'\\' && !matches!(place, Place::Line | Place::Expected) {
            octets.push(escape(cursor)?);
        } else {
            octets.extend(cursor.take());
        }
    }
    parts.extend((!octets.is_empty()).then_some(Part::Octets(octets)));
    Ok(parts)
}

/// After `%{`, up to and with its brace.
fn expression(cursor: &mut Cursor) -> Result<Part, String> {
    let word = cursor.run(|octet| octet != b' ' && octet != b'}');
    let word = String::from_utf8_lossy(word).into_owned();
    let part = match cursor.peek() {
        Some(b'}') if word == "dots" => Part::Octets(b"...".to_vec()),
        Some(b'}') if FUNCTIONS.contains(&word.as_str()) => {
            return Err(format!("%{{{word}}} needs a text"));
        }
        Some(b'}') if !word.is_empty() => Part::Name(word),
        Some(b' ') => {
            cursor.take();
            function(&word, cursor)?
        }
        _ => return Err("%{ without a name and }".into()),
    };
    cursor.literal("}").map(|()| part).ok_or_else(|| "%{ without }".into())
}

fn function(word: &str, cursor: &mut Cursor) -> Result<Part, String> {
    match word {
        "b64" => parts(cursor, Place::Argument).map(Part::Base64),
        "md5" => parts(cursor, Place::Argument).map(Part::Md5),
        "hmac-md5" => {
            let key = parts(cursor, Place::Word)?;
            cursor.literal(" ").ok_or("%{hmac-md5 KEY TEXT} needs both")?;
            parts(cursor, Place::Argument).map(|text| Part::HmacMd5(key, text))
        }
        "len" if cursor.literal("<").is_some() => {
            let file = cursor.run(|octet| octet != b'}');
            Ok(Part::FileLength(String::from_utf8_lossy(file).into_owned().into()))
        }
        "len" => parts(cursor, Place::Argument).map(Part::Length),
        // Whoever knows the ports has put them among what was taken.
        "port" => {
            let host = cursor.run(|octet| octet != b'}');
            Ok(Part::Name(format!("port {}", String::from_utf8_lossy(host))))
        }
        "times" => {
            let digits = cursor.run(|octet| octet.is_ascii_digit());
            let times = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            let times = times.filter(|_| cursor.literal(" ").is_some());
            let times = times.ok_or("%{times N TEXT} needs both")?;
            parts(cursor, Place::Argument).map(|text| Part::Times(times, text))
        }
        _ => {
            let hint = nearest(word, FUNCTIONS.into_iter());
            let hint = hint.map(|word| format!("; %{{{word} ...}}?")).unwrap_or_default();
            Err(format!("%{{{word} ...}} cannot be computed{hint}"))
        }
    }
}

/// `\r \n \0 \t \xHH`; any other character stands for itself.
fn escape(cursor: &mut Cursor) -> Result<u8, String> {
    cursor.take();
    match cursor.take() {
        Some(b'r') => Ok(b'\r'),
        Some(b'n') => Ok(b'\n'),
        Some(b't') => Ok(b'\t'),
        Some(b'0') => Ok(0),
        Some(b'x') => {
            let digits = cursor.rest().get(..2).and_then(|two| std::str::from_utf8(two).ok());
            let octet = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
            cursor.take();
            cursor.take();
            octet.ok_or_else(|| "\\x needs two hexadecimal digits".into())
        }
        Some(octet) if !octet.is_ascii_alphanumeric() => Ok(octet),
        _ => Err("a backslash goes before r, n, t, 0, xHH or a sign".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: Result<Text, String>, captures: &Captures) -> Vec<u8> {
        text.unwrap().octets(captures, Path::new("src/parley")).unwrap()
    }

    #[test]
    fn what_is_sent() {
        let captures = Captures::from([
            ("stamp".to_string(), b"<1896.697170952@dbc.mtview.ca.us>".to_vec()),
            ("challenge".to_string(), b"<1896.697170952@postoffice.reston.mci.net>".to_vec()),
        ]);
        for (text, octets) in [
            ("MAIL FROM:<a%b@c>", "MAIL FROM:<a%b@c>"),
            (r"a\r ... b", r"a\r ... b"),
            (r"AUTH PLAIN %{b64 \0alice\0secret}", "AUTH PLAIN AGFsaWNlAHNlY3JldA=="),
            // RFC 1939 §7 and RFC 2195 §2
            ("APOP mrose %{md5 %{stamp}tanstaaf}", "APOP mrose c4c9334bac560ecc979e58001b3e22fb"),
            (
                "%{b64 tim %{hmac-md5 tanstaaftanstaaf %{challenge}}}",
                "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
            ),
            (r"{%{len Grüße\}}}", "{8}"),
            ("%{times 3 ab}%{dots}", "ababab..."),
            ("%{times 3 %{i} }", "1 2 3 "),
            ("%{len <mod.rs}", &std::fs::read("src/parley/mod.rs").unwrap().len().to_string()),
        ] {
            assert_eq!(sent(Text::line(text), &captures), octets.as_bytes(), "{text}");
        }
        assert_eq!(
            sent(Text::raw(r"a\r\n\0\x7f\\.%{times 2 \n}"), &captures),
            b"a\r\n\0\x7f\\.\n\n"
        );
        for wrong in ["%{", "%{b64", "%{b64}", "%{nothing}x%{", "%{hmac-md5 k}", "%{times x y}"] {
            assert!(Text::line(wrong).is_err(), "{wrong}");
        }
        assert!(Text::line("%{nobody}").unwrap().octets(&captures, Path::new("")).is_err());
        assert!(Text::raw(r"\xg0").is_err());
        assert_eq!(
            Text::line("%{base x}").unwrap_err(),
            "%{base x}".replace(" x", " ...") + " cannot be computed"
        );
    }

    #[test]
    fn what_is_expected() {
        for (text, line, taken) in [
            ("250 OK", "250 OK", Some("")),
            ("250 OK", "250 OK ", None),
            ("250 ...", "250 2.1.0 ok", Some("")),
            ("250 ...", "251 2.1.0 ok", None),
            ("250...", "250", Some("")),
            ("...b...c", "abbc", Some("")),
            ("+OK ... %{x}", "+OK ready <1.2@h>", Some("<1.2@h>")),
            ("%{x} is %{x}", "a is a", Some("a")),
            ("and %{dots}", "and ...", Some("")),
            ("and %{dots}", "and so on", None),
            ("%{b64 a}", "YQ==", Some("")),
        ] {
            let mut captures = Captures::new();
            let fits = Text::expected(text).unwrap().matches(
                line.as_bytes(),
                &mut captures,
                Path::new(""),
            );
            let x = captures.get("x").cloned().unwrap_or_default();
            assert_eq!(fits.unwrap().then_some(&x[..]), taken.map(str::as_bytes), "{text}: {line}");
        }
        let mut captures = Captures::from([("x".to_string(), b"one".to_vec())]);
        let text = Text::expected("is %{x}").unwrap();
        assert!(text.matches(b"is one", &mut captures, Path::new("")).unwrap());
        assert!(!text.matches(b"is two", &mut captures, Path::new("")).unwrap());
    }
}
