//! The part for people: what happened, to whom, what the other host said, what can be done; in
//! English and then in Spanish. Behind it the dialogues that failed, word for word, which hold
//! commands and replies only.
//!
//! What happened is told by the class of the status (RFC 3463 §3); the words of the other side
//! come as they are, since nobody knows better.

use super::status::{pieces, status};
use super::{Action, Entry, Part, Times, date};
use crate::conf::Site;
use crate::limits;
use crate::queue::Envelope;
use crate::text::printable;
use std::sync::Arc;

/// Where lines are broken.
const LINE: usize = 76;

/// What became of a recipient, as far as it makes a difference to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NoMailbox,
    NoDomain,
    Full,
    TooLarge,
    Refused,
    NoTls,
    Loop,
    Expired,
    Form,
    Failed,
    Delayed,
    Delivered,
    Relayed,
    Expanded,
}

impl Kind {
    pub fn of(entry: &Entry) -> Kind {
        match &entry.action {
            Action::Delayed => Kind::Delayed,
            Action::Delivered => Kind::Delivered,
            Action::Relayed(_) => Kind::Relayed,
            Action::Expanded => Kind::Expanded,
            Action::Failed => Kind::of_status(&status(entry)),
        }
    }

    /// RFC 3463 §3, and the codes that came later: RFC 7505 §4, RFC 7504 §4, RFC 6531 §3.5.
    pub(super) fn of_status(status: &str) -> Kind {
        let mut numbers = status.split('.').skip(1).map(|number| number.parse().unwrap_or(0));
        match (numbers.next().unwrap_or(0_u16), numbers.next().unwrap_or(0_u16)) {
            (1, 2 | 10) | (4, 4) => Kind::NoDomain,
            (1, 0 | 1 | 3 | 6) | (2, 1) => Kind::NoMailbox,
            (2, 2) | (3, 1) => Kind::Full,
            (2, 3) | (3, 4) => Kind::TooLarge,
            (7, 4 | 5 | 10) => Kind::NoTls,
            (7, _) => Kind::Refused,
            (4, 6) => Kind::Loop,
            (4, 7) => Kind::Expired,
            (6, _) => Kind::Form,
            _ => Kind::Failed,
        }
    }

    /// What happened, and what the sender can do.
    fn english(self) -> (&'static str, &'static str) {
        match self {
            Kind::NoMailbox => (
                "There is no such mailbox, or it takes no mail.",
                "Look for a mistake in the address. If it is right, ask the person in another way \
                 for one that works.",
            ),
            Kind::NoDomain => (
                "What stands behind the @ is no domain that takes mail.",
                "Look for a mistake there, such as a letter too many or another ending.",
            ),
            Kind::Full => (
                "The mailbox has no room left.",
                "Tell the person in another way, and send it again in a few days.",
            ),
            Kind::TooLarge => (
                "The letter is larger than that host or mailbox takes.",
                "Send it in smaller parts, or say in it where large files can be fetched.",
            ),
            Kind::Refused => (
                "The other side refuses the letter by rules of its own.",
                "Its words tell which, and often what to do. Whoever runs that host can change it.",
            ),
            Kind::NoTls => (
                "The letter may go there by a safe connection (TLS) only, and there was none.",
                "Whoever runs that host must mend it. Try again later.",
            ),
            Kind::Loop => (
                "The letter went round in a circle.",
                "Whoever runs the mail of that address must mend it; sending it again does not help.",
            ),
            Kind::Expired => (
                "It could not be delivered for so long that we have given up.",
                "The other host may be out of order. Send it again, or ask the person for another \
                 address.",
            ),
            Kind::Form => (
                "The other side cannot take a letter of this form.",
                "Send it as plain text, without unusual attachments, from and to addresses of \
                 unaccented letters.",
            ),
            Kind::Failed => (
                "It cannot be delivered.",
                "The words above tell why. If they do not help, ask the postmaster.",
            ),
            Kind::Delayed => (
                "It could not be delivered yet. We go on trying.",
                "Nothing. If it cannot be delivered at all you will be told.",
            ),
            Kind::Delivered => ("It is in the mailbox. Whether it was read we cannot know.", ""),
            Kind::Relayed => (
                "It was handed over to another host, which does not report deliveries. You will \
                 hear of it again only if it comes back.",
                "",
            ),
            Kind::Expanded => (
                "It was delivered. The address stands for several others, to which it was sent on.",
                "",
            ),
        }
    }

    /// The same.
    fn spanish(self) -> (&'static str, &'static str) {
        match self {
            Kind::NoMailbox => (
                "Ese buzón no existe o no admite correo.",
                "Compruebe si la dirección tiene algún error. Si está bien, pregunte a la persona \
                 por otro medio qué dirección usa.",
            ),
            Kind::NoDomain => (
                "Lo que va detrás de la @ no es un dominio que reciba correo.",
                "Compruebe si tiene algún error, como una letra de más u otra terminación.",
            ),
            Kind::Full => (
                "En el buzón no queda sitio.",
                "Avise a la persona por otro medio y reenvíe la carta dentro de unos días.",
            ),
            Kind::TooLarge => (
                "La carta es mayor de lo que admite ese servidor o ese buzón.",
                "Envíela en partes más pequeñas, o indique en ella dónde se pueden descargar los \
                 ficheros grandes.",
            ),
            Kind::Refused => (
                "El otro lado rechaza la carta según sus propias reglas.",
                "Sus palabras dicen cuál, y a menudo qué hacer. Quien administra ese servidor puede \
                 cambiarlo.",
            ),
            Kind::NoTls => (
                "La carta solo puede ir allí por una conexión segura (TLS), y no la hubo.",
                "Debe arreglarlo quien administra ese servidor. Inténtelo más tarde.",
            ),
            Kind::Loop => (
                "La carta dio vueltas en círculo.",
                "Debe arreglarlo quien administra el correo de esa dirección; reenviarla no sirve \
                 de nada.",
            ),
            Kind::Expired => (
                "No se pudo entregar durante tanto tiempo que hemos desistido.",
                "Quizá el otro servidor esté averiado. Reenvíela, o pida a la persona otra \
                 dirección.",
            ),
            Kind::Form => (
                "El otro lado no puede recibir una carta de esta forma.",
                "Envíela como texto sencillo, sin adjuntos raros, desde y hacia direcciones sin \
                 acentos.",
            ),
            Kind::Failed => (
                "No se puede entregar.",
                "Las palabras de arriba dicen por qué. Si no bastan, pregunte al postmaster.",
            ),
            Kind::Delayed => (
                "Todavía no se ha podido entregar. Seguimos intentándolo.",
                "Nada. Si no se puede entregar, se le avisará.",
            ),
            Kind::Delivered => ("Está en el buzón. Si se ha leído no podemos saberlo.", ""),
            Kind::Relayed => (
                "Se entregó a otro servidor, que no informa de las entregas. Solo volverá a saber \
                 de ella si es devuelta.",
                "",
            ),
            Kind::Expanded => {
                ("Se entregó. La dirección representa a varias, a las que se ha reenviado.", "")
            }
        }
    }
}

/// One of the two languages.
struct Language {
    what: fn(Kind) -> (&'static str, &'static str),
    ours: &'static str,
    reason: &'static str,
    said: &'static str,
    advice: &'static str,
    until: &'static str,
    host: &'static str,
    questions: &'static str,
}

const ENGLISH: Language = Language {
    what: Kind::english,
    ours: "This is the mail system of",
    reason: "The reason:",
    said: "said:",
    advice: "What you can do:",
    until: "We give up at:",
    host: "Host:",
    questions: "Questions are answered, with the number of the letter, by",
};

const SPANISH: Language = Language {
    what: Kind::spanish,
    ours: "Este es el sistema de correo de",
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
    wrap(
        text,
        0,
        &format!("{} {host}. ({}, {})", language.ours, envelope.id, date(envelope.arrived)),
    );
    for entry in entries {
        let (what, advice) = (language.what)(Kind::of(entry));
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
    fn kinds_of_failures() {
        for (status, kind) in [
            ("5.1.1", Kind::NoMailbox),
            ("5.2.1", Kind::NoMailbox),
            ("5.1.2", Kind::NoDomain),
            ("5.1.10", Kind::NoDomain),
            ("5.4.4", Kind::NoDomain),
            ("5.2.2", Kind::Full),
            ("4.3.1", Kind::Full),
            ("5.2.3", Kind::TooLarge),
            ("5.3.4", Kind::TooLarge),
            ("5.7.1", Kind::Refused),
            ("5.7.26", Kind::Refused),
            ("4.7.5", Kind::NoTls),
            ("5.7.10", Kind::NoTls),
            ("5.4.6", Kind::Loop),
            ("5.4.7", Kind::Expired),
            ("4.4.7", Kind::Expired),
            ("5.6.7", Kind::Form),
            ("5.0.0", Kind::Failed),
            ("5.3.0", Kind::Failed),
        ] {
            assert_eq!(Kind::of_status(status), kind, "{status}");
        }
    }

    #[test]
    fn lines_are_broken() {
        let mut text = String::new();
        wrap(&mut text, 4, &"palabra ".repeat(30));
        wrap(&mut text, 4, &"x".repeat(3000));
        assert!(text.lines().all(|line| line.starts_with("    ") && line.len() <= 998));
        assert_eq!(text.lines().next().unwrap().len(), 4 + 9 * 8 - 1);
    }
}
