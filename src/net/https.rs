//! One small text by HTTPS, from a host that proves its name: RFC 9110 §9.3.1 (GET), RFC 9112.
//!
//! All of it or nothing: 200 only, text/plain only, a length that is told and not too large, no
//! redirects, nothing behind the deadline. It is no browser; whoever needs one brings it.

use super::Trust;
use super::client::{Client, Line, Place};
use crate::limits;
use crate::text::printable;
use std::net::SocketAddr;
use std::time::Instant;

/// Lines of a response's header that are read, and octets of each.
const FIELDS: usize = 200;
const FIELD: usize = 16 * 1024;

/// Gets `https://HOST/PATH` from the first of the addresses that answers; the error says why not.
pub(super) fn get(
    host: &str,
    path: &str,
    addresses: &[SocketAddr],
    trust: &Trust,
    deadline: Instant,
) -> Result<String, String> {
    let mut last = format!("{host} has no address");
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        let place = Place::Tcp { address: *address, source: None };
        if left.is_zero() {
            return Err("it took too long".into());
        }
        match Client::to(&place, left.min(limits::CONNECT)) {
            Ok(client) => return Exchange { client, deadline }.get(host, path, trust),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(last)
}

struct Exchange {
    client: Client,
    deadline: Instant,
}

/// How long the body is.
enum Length {
    Known(usize),
    Chunked,
}

impl Exchange {
    fn get(mut self, host: &str, path: &str, trust: &Trust) -> Result<String, String> {
        let told = |error: std::io::Error| error.to_string();
        self.client.secure(host, trust, true, self.deadline).map_err(told)?;
        for line in [
            &format!("GET {path} HTTP/1.1"),
            &format!("Host: {host}"),
            "User-Agent: buzon",
            "Accept: text/plain",
            "Connection: close",
            "",
        ] {
            self.client.say(line).map_err(told)?;
        }
        self.client.flush(self.deadline).map_err(told)?;
        let status = self.line(FIELD)?;
        let mut words = status.split(' ');
        match (words.next(), words.next()) {
            (Some("HTTP/1.1" | "HTTP/1.0"), Some("200")) => {}
            _ => return Err(format!("the answer is '{}'", printable(status.as_bytes()))),
        }
        let body = match self.header()? {
            Length::Known(length) => self.octets(length)?,
            Length::Chunked => self.chunks()?,
        };
        String::from_utf8(body).map_err(|_| "the text is not UTF-8".into())
    }

    /// RFC 9112 §5 and §6: what follows, and that it is text.
    fn header(&mut self) -> Result<Length, String> {
        let (mut is_text, mut length) = (false, None);
        for _ in 0..FIELDS {
            let line = self.line(FIELD)?;
            let Some((name, value)) = line.split_once(':') else {
                return match length {
                    _ if !line.is_empty() => Err("the header is none".into()),
                    _ if !is_text => Err("the text is not text/plain".into()),
                    // Careful: whoever can cut the connection could else shorten the text.
                    None => Err("the length of the text is not told".into()),
                    Some(length) => Ok(length),
                };
            };
            let value = value.trim().to_ascii_lowercase();
            match name.to_ascii_lowercase().as_str() {
                "content-type" => {
                    is_text = value.split(';').next().map(str::trim_end) == Some("text/plain");
                }
                "content-length" => {
                    let octets = value.parse().map_err(|_| "the length is no number")?;
                    length = length.or(Some(Length::Known(octets)));
                }
                "transfer-encoding" if value == "chunked" => length = Some(Length::Chunked),
                "transfer-encoding" => {
                    return Err(format!("it comes as '{}'", value.escape_debug()));
                }
                _ => {}
            }
        }
        Err("the header has no end".into())
    }

    /// RFC 9112 §7.1.
    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = self.line(FIELD)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| "a chunk has no size")?;
            if size == 0 {
                return Ok(body);
            }
            if size > limits::STS_POLICY - body.len() {
                return Err("the text is too large".into());
            }
            body.extend_from_slice(&self.octets(size)?);
            self.line(FIELD)?;
        }
    }

    fn octets(&mut self, count: usize) -> Result<Vec<u8>, String> {
        if count > limits::STS_POLICY {
            return Err("the text is too large".into());
        }
        let octets = self.client.read_octets(count, self.deadline);
        let octets = octets.map_err(|error| error.to_string())?;
        if octets.len() < count { Err("the text was cut".into()) } else { Ok(octets) }
    }

    fn line(&mut self, limit: usize) -> Result<String, String> {
        match self.client.read_line_of(limit, self.deadline) {
            Ok(Line::Text(line, _)) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Ok(Line::Closed) => Err("the answer was cut".into()),
            Ok(Line::Late) => Err("it took too long".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}
