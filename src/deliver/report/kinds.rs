//! What became of a recipient, as far as it makes a difference to the sender, in both languages.
//!
//! Failures are told by the class of the status (RFC 3463 §3); each says what happened, and what
//! the sender can do.

use super::status::status;
use super::{Action, Entry};

/// What happened, and what can be done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub english: [&'static str; 2],
    pub spanish: [&'static str; 2],
}

/// What is told of a recipient.
pub(super) fn kind(entry: &Entry) -> &'static Kind {
    match &entry.action {
        Action::Failed => of_status(&status(entry)),
        Action::Delayed => &DELAYED,
        Action::Delivered => &DELIVERED,
        Action::Relayed(_) => &RELAYED,
        Action::Expanded => &EXPANDED,
    }
}

/// RFC 3463 §3, and codes that came later: RFC 7505 §4.2, RFC 6531 §3.5.
fn of_status(status: &str) -> &'static Kind {
    let mut numbers = status.split('.').skip(1).map(|number| number.parse().unwrap_or(0));
    match (numbers.next().unwrap_or(0_u16), numbers.next().unwrap_or(0_u16)) {
        (1, 2 | 10) | (4, 4) => &NO_DOMAIN,
        (1, 0 | 1 | 3 | 6) | (2, 1) => &NO_MAILBOX,
        (2, 2) | (3, 1) => &FULL,
        (2, 3) | (3, 4) => &TOO_LARGE,
        (7, 4 | 5 | 10) => &NO_TLS,
        (7, _) => &REFUSED,
        (4, 6) => &LOOP,
        (4, 7) => &EXPIRED,
        (6, _) => &FORM,
        _ => &FAILED,
    }
}

static NO_MAILBOX: Kind = Kind {
    english: [
        "There is no such mailbox, or it takes no mail.",
        "Look for a mistake in the address. If it is right, ask the person in another way for \
         one that works.",
    ],
    spanish: [
        "Ese buzón no existe o no admite correo.",
        "Compruebe si la dirección tiene algún error. Si está bien, pregunte a la persona por \
         otro medio qué dirección usa.",
    ],
};

static NO_DOMAIN: Kind = Kind {
    english: [
        "What stands behind the @ is no domain that takes mail.",
        "Look for a mistake there, such as a letter too many or another ending.",
    ],
    spanish: [
        "Lo que va detrás de la @ no es un dominio que reciba correo.",
        "Compruebe si tiene algún error, como una letra de más u otra terminación.",
    ],
};

static FULL: Kind = Kind {
    english: [
        "The mailbox has no room left.",
        "Tell the person in another way, and send it again in a few days.",
    ],
    spanish: [
        "En el buzón no queda sitio.",
        "Avise a la persona por otro medio y reenvíe la carta dentro de unos días.",
    ],
};

static TOO_LARGE: Kind = Kind {
    english: [
        "The letter is larger than that host or mailbox takes.",
        "Send it in smaller parts, or say in it where large files can be fetched.",
    ],
    spanish: [
        "La carta es mayor de lo que admite ese servidor o ese buzón.",
        "Envíela en partes más pequeñas, o indique en ella dónde se pueden descargar los \
         ficheros grandes.",
    ],
};

static REFUSED: Kind = Kind {
    english: [
        "The other side refuses the letter by rules of its own.",
        "Its words tell which, and often what to do. Whoever runs that host can change it.",
    ],
    spanish: [
        "El otro lado rechaza la carta según sus propias reglas.",
        "Sus palabras dicen cuál, y a menudo qué hacer. Quien administra ese servidor puede \
         cambiarlo.",
    ],
};

static NO_TLS: Kind = Kind {
    english: [
        "The letter may go there by a safe connection (TLS) only, and there was none.",
        "Whoever runs that host must mend it. Try again later.",
    ],
    spanish: [
        "La carta solo puede ir allí por una conexión segura (TLS), y no la hubo.",
        "Debe arreglarlo quien administra ese servidor. Inténtelo más tarde.",
    ],
};

static LOOP: Kind = Kind {
    english: [
        "The letter went round in a circle.",
        "Whoever runs the mail of that address must mend it; sending it again does not help.",
    ],
    spanish: [
        "La carta dio vueltas en círculo.",
        "Debe arreglarlo quien administra el correo de esa dirección; reenviarla no sirve de \
         nada.",
    ],
};

static EXPIRED: Kind = Kind {
    english: [
        "It could not be delivered for so long that we have given up.",
        "The other host may be out of order. Send it again, or ask the person for another \
         address.",
    ],
    spanish: [
        "No se pudo entregar durante tanto tiempo que hemos desistido.",
        "Quizá el otro servidor esté averiado. Reenvíela, o pida a la persona otra dirección.",
    ],
};

static FORM: Kind = Kind {
    english: [
        "The other side cannot take a letter of this form.",
        "Send it as plain text, without unusual attachments, from and to addresses of \
         unaccented letters.",
    ],
    spanish: [
        "El otro lado no puede recibir una carta de esta forma.",
        "Envíela como texto sencillo, sin adjuntos raros, desde y hacia direcciones sin acentos.",
    ],
};

static FAILED: Kind = Kind {
    english: [
        "It cannot be delivered.",
        "The words above tell why. If they do not help, ask the postmaster.",
    ],
    spanish: [
        "No se puede entregar.",
        "Las palabras de arriba dicen por qué. Si no bastan, pregunte al postmaster.",
    ],
};

static DELAYED: Kind = Kind {
    english: [
        "It could not be delivered yet. We go on trying.",
        "Nothing. If it cannot be delivered at all you will be told.",
    ],
    spanish: [
        "Todavía no se ha podido entregar. Seguimos intentándolo.",
        "Nada. Si no se puede entregar, se le avisará.",
    ],
};

static DELIVERED: Kind = Kind {
    english: ["It is in the mailbox. Whether it was read we cannot know.", ""],
    spanish: ["Está en el buzón. Si se ha leído no podemos saberlo.", ""],
};

static RELAYED: Kind = Kind {
    english: [
        "It was handed over to another host, which does not report deliveries. You will hear of \
         it again only if it comes back.",
        "",
    ],
    spanish: [
        "Se entregó a otro servidor, que no informa de las entregas. Solo volverá a saber de \
         ella si es devuelta.",
        "",
    ],
};

static EXPANDED: Kind = Kind {
    english: [
        "It was delivered. The address stands for several others, to which it was sent on.",
        "",
    ],
    spanish: ["Se entregó. La dirección representa a varias, a las que se ha reenviado.", ""],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_failures() {
        for (status, kind) in [
            ("5.1.1", &NO_MAILBOX),
            ("5.2.1", &NO_MAILBOX),
            ("5.1.2", &NO_DOMAIN),
            ("5.1.10", &NO_DOMAIN),
            ("5.4.4", &NO_DOMAIN),
            ("5.2.2", &FULL),
            ("4.3.1", &FULL),
            ("5.2.3", &TOO_LARGE),
            ("5.3.4", &TOO_LARGE),
            ("5.7.1", &REFUSED),
            ("5.7.26", &REFUSED),
            ("4.7.5", &NO_TLS),
            ("5.7.10", &NO_TLS),
            ("5.4.6", &LOOP),
            ("5.4.7", &EXPIRED),
            ("4.4.7", &EXPIRED),
            ("5.6.7", &FORM),
            ("5.0.0", &FAILED),
            ("5.3.0", &FAILED),
        ] {
            assert_eq!(of_status(status), kind, "{status}");
        }
    }
}
