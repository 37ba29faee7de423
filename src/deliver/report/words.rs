//! The part for people: what happened, to whom, what the other host said, what can be done; in
//! English and then in Spanish. Behind it the dialogues that failed, word for word, which hold
//! commands and replies only.
//!
//! What happened is told in words of ours (`kinds`); those of the other side come as they are.

use super::kinds::{Kind, kind};
use super::status::pieces;
use super::{Action, Entry, Part, Times, date};
use crate::conf::Site;
use crate::limits;
use crate::queue::Envelope;
use crate::text::printable;
use std::sync::Arc;

/// Where lines are broken.
const LINE: usize = 76;

/// One of the two languages.
struct Language {
    words: fn(&Kind) -> &[&'static str; 2],
    ours: &'static str,
    letter: &'static str,
    number: &'static str,
    reason: &'static str,
    said: &'static str,
    advice: &'static str,
    until: &'static str,
    host: &'static str,
    questions: &'static str,
}

const ENGLISH: Language = Language {
    words: |kind| &kind.english,
    ours: "This is the mail system of",
    letter: "It is about your letter of",
    number: "here with the number",
    reason: "The reason:",
    said: "said:",
    advice: "What you can do:",
    until: "We give up at:",
    host: "Host:",
    questions: "Questions are answered, with the number of the letter, by",
};

const SPANISH: Language = Language {
    words: |kind| &kind.spanish,
    ours: "Este es el sistema de correo de",
    letter: "Se trata de su carta del",
    number: "aquí con el número",
    reason: "El motivo:",
    said: "dijo:",
    advice: "Qué puede hacer:",
    until: "Desistiremos el:",
    host: "Servidor:",
    questions: "Para preguntas, con el número de la carta, está",
};

/// The first part.
pub(super) fn part(site: &Site, envelope: &Envelope, entries: &[Entry], times: &Times) -> Part {
    let mut text = String::from("(En español, más abajo.)\n\n");
    told(&mut text, &ENGLISH, site, envelope, entries, times);
    text.push_str("\n----\n\n");
    told(&mut text, &SPANISH, site, envelope, entries, times);
    dialogues(&mut text, entries);
    Part {
        content_type: "text/plain; charset=utf-8",
        encoding: "8bit",
        description: "What happened / Lo que ha pasado",
        octets: text.into_bytes(),
    }
}

fn told(
    text: &mut String,
    language: &Language,
    site: &Site,
    envelope: &Envelope,
    entries: &[Entry],
    times: &Times,
) {
    let host = &site.hostname;
    wrap(text, 0, &format!("{} {host}.", language.ours));
    let (id, arrived) = (&envelope.id, date(envelope.arrived));
    wrap(text, 0, &format!("{} {arrived}, {} {id}.", language.letter, language.number));
    for entry in entries {
        let [what, advice] = (language.words)(kind(entry));
        text.push('\n');
        wrap(text, 0, &format!("<{}>", printable(entry.to.path.to_string().as_bytes())));
        wrap(text, 4, what);
        if let Action::Relayed(host) = &entry.action {
            wrap(text, 4, &format!("{} {}", language.host, printable(host.as_bytes())));
        }
        if let (Action::Failed | Action::Delayed, Some(said)) = (&entry.action, entry.said()) {
            match &said.host {
                Some(host) => {
                    let host = printable(host.as_bytes());
                    wrap(text, 4, &format!("{host} {}", language.said));
                }
                None => wrap(text, 4, language.reason),
            }
            let words: String = said.text.chars().take(limits::REPORT_WORDS).collect();
            wrap(text, 8, &printable(words.as_bytes()));
        }
        if entry.action == Action::Delayed {
            wrap(text, 4, &format!("{} {}", language.until, date(times.until)));
        }
        if !advice.is_empty() {
            wrap(text, 4, &format!("{} {advice}", language.advice));
        }
    }
    text.push('\n');
    wrap(text, 0, &format!("{} postmaster@{host}.", language.questions));
}

/// What was said at the attempts that failed, once for all whom it is about.
fn dialogues(text: &mut String, entries: &[Entry]) {
    let is_shown = |entry: &&Entry| {
        matches!(entry.action, Action::Failed | Action::Delayed) && !entry.dialogue.is_empty()
    };
    let mut shown: Vec<&Arc<Vec<String>>> = Vec::new();
    let mut left = limits::REPORT_DIALOGUES;
    for entry in entries.iter().filter(is_shown) {
        if shown.iter().any(|other| Arc::ptr_eq(other, &entry.dialogue)) {
            continue;
        }
        shown.push(&entry.dialogue);
        let to = printable(entry.to.path.to_string().as_bytes());
        text.push_str("\n----\n\n");
        wrap(text, 0, &format!("What was said / Lo que se dijo: <{to}>"));
        text.push('\n');
        for line in entry.dialogue.iter() {
            if line.len() > left {
                text.push_str("    ...\n");
                return;
            }
            left -= line.len();
            for piece in pieces(printable(line.as_bytes()).trim_end()) {
                text.push_str(&format!("    {piece}\n"));
            }
        }
    }
}

/// Adds words, broken into lines.
fn wrap(text: &mut String, indent: usize, words: &str) {
    let mut column = 0;
    for word in words.split_whitespace().flat_map(pieces) {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > LINE {
            text.push('\n');
            column = 0;
        }
        let blanks = if column == 0 { indent } else { 1 };
        (0..blanks).for_each(|_| text.push(' '));
        text.push_str(word);
        column += blanks + width;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken() {
        let mut text = String::new();
        wrap(&mut text, 4, &"palabra ".repeat(30));
        wrap(&mut text, 4, &"x".repeat(3000));
        assert!(text.lines().all(|line| line.starts_with("    ") && line.len() <= 998));
        assert_eq!(text.lines().next().unwrap().len(), 4 + 9 * 8 - 1);
    }
}
