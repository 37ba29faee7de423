//! The line that divides an mbox: `From SENDER DATE` (RFC 4155), and what keeps other lines from
//! looking like it.
//!
//! A line of a letter that begins with `From `, or with `>`s and then `From `, gets one `>` more
//! when the letter is stored, and loses one when it is read: what came in goes out, octet for octet.
//! mutt and Dovecot show the `>`, as they do for letters from Postfix and procmail, which quote
//! `From ` alone. We write no Content-Length, which would need no quoting: half of the programs do
//! not know it, and a wrong one swallows letters.

/// What tells a program that a letter begins.
pub const FROM: &[u8] = b"From ";
/// A line is looked at so far, to divide and to quote.
pub const LOOK: usize = 1_000;

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// The dividing line of a letter: from whom, and when it came, as asctime(3) writes it.
pub fn line(sender: &str, moment: &str) -> Vec<u8> {
    let strange = |c: char| c.is_whitespace() || c.is_control();
    let sender = match sender {
        "" => "MAILER-DAEMON".into(),
        _ => sender.replace(strange, "-"),
    };
    format!("From {sender}  {moment}\n").into_bytes()
}

/// Whether a line divides: `From `, perhaps a sender, and a date. Zones, and what comes behind the
/// year, differ from program to program.
pub fn divides(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(FROM) else {
        return false;
    };
    let rest = &rest[..rest.len().min(LOOK)];
    let words = || rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    // A sender may be missing, and one in quotes may hold blanks.
    let most = if rest.starts_with(b"\"") { LOOK } else { 1 };
    (0..=most.min(words().count())).any(|skipped| is_date(words().skip(skipped)))
}

fn is_date<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut is = |test: &dyn Fn(&[u8]) -> bool| words.next().is_some_and(test);
    let digits = |word: &[u8]| word.iter().all(u8::is_ascii_digit);
    let is_time = |word: &[u8]| {
        word.len() >= 4
            && word[1..3].contains(&b':')
            && word.iter().all(|octet| octet.is_ascii_digit() || *octet == b':')
    };
    let is_year = |word: &[u8]| word.len() == 4 && digits(word);
    is(&|word| DAYS.contains(&word))
        && is(&|word| MONTHS.contains(&word))
        && is(&|word| word.len() <= 2 && digits(word))
        && is(&is_time)
        // A zone may stand before the year.
        && (0..3).any(|_| is(&is_year))
}

/// Whether a line is `From ` behind any number of `>`.
pub fn is_quoted(line: &[u8]) -> bool {
    let line = &line[..line.len().min(LOOK)];
    let start = line.iter().position(|octet| *octet != b'>').unwrap_or(line.len());
    line[start..].starts_with(FROM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_divide() {
        for (line, expected) in [
            ("From a@b.example  Sat Nov 21 00:46:04 2026", true),
            ("From a@b.example Sat Nov  1 00:46:04 2026\n", true),
            ("From a@b.example Sat Nov 21 00:46 2026", true),
            ("From a@b.example Sat Nov 21 00:46:04 2026 +0100", true),
            ("From a@b.example Sat Nov 21 00:46:04 EEST 2026", true),
            ("From a@b.example Sat Nov 21 0:46:04 MET DST 2026 remote from x", true),
            ("From Sat Nov 21 00:46:04 2026", true),
            ("From \"a b\"@c.example Sat Nov 21 00:46:04 2026", true),
            ("From a b Sat Nov 21 00:46:04 2026", false),
            ("From a@b.example", false),
            ("From a@b.example Sat Nov 21 2026", false),
            ("From a@b.example Sat Nov 21 00:46:04", false),
            ("From here on it is different", false),
            (">From a@b.example Sat Nov 21 00:46:04 2026", false),
            ("From: a@b.example Sat Nov 21 00:46:04 2026", false),
            ("From ", false),
            ("", false),
        ] {
            assert_eq!(divides(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_we_write_divides() {
        for sender in ["ana@example.test", "", "\"a b\"@example.test", "a\nb", "\"Sat Nov\"@x"] {
            let line = line(sender, "Sat Nov 21 00:46:04 2026");
            assert!(divides(&line), "{sender}");
            assert_eq!(memchr::memchr_iter(b'\n', &line).count(), 1, "{sender}");
        }
        assert!(line("", "x").starts_with(b"From MAILER-DAEMON  x"));
    }

    #[test]
    fn lines_that_need_a_sign() {
        for (line, expected) in [
            ("From ", true),
            (">From me", true),
            (">>>From me", true),
            ("From: me", false),
            ("> From me", false),
            (">", false),
            ("", false),
        ] {
            assert_eq!(is_quoted(line.as_bytes()), expected, "{line}");
        }
    }
}
