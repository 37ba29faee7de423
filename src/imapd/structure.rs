//! ENVELOPE, BODY and BODYSTRUCTURE: RFC 3501 §7.4.2, RFC 9051 §7.5.2, as the values of `mail`
//! are written. `utf8` is whether the client enabled UTF-8 in quoted strings.

use super::write::{nil, nstring, number, string};
use crate::mail::{Address, Disposition, Entity, Envelope, Shape, Tree};

/// How a structure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// BODYSTRUCTURE, with extension data; otherwise BODY, without.
    pub extended: bool,
    /// Whether the client enabled UTF-8 in quoted strings.
    pub utf8: bool,
}

/// The value of ENVELOPE.
pub fn envelope(out: &mut Vec<u8>, envelope: &Envelope, utf8: bool) {
    out.push(b'(');
    nstring(out, envelope.date.as_deref(), utf8);
    out.push(b' ');
    nstring(out, envelope.subject.as_deref(), utf8);
    let lists = [
        &envelope.from,
        &envelope.sender,
        &envelope.reply_to,
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ];
    for list in lists {
        out.push(b' ');
        addresses(out, list, utf8);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_deref(), utf8);
    out.push(b' ');
    nstring(out, envelope.message_id.as_deref(), utf8);
    out.push(b')');
}

fn addresses(out: &mut Vec<u8>, list: &[Address], utf8: bool) {
    if list.is_empty() {
        return nil(out);
    }
    out.push(b'(');
    for address in list {
        let parts = match address {
            Address::Mailbox { name, route, local_part, domain } => {
                [name.as_deref(), route.as_deref(), Some(&local_part[..]), Some(&domain[..])]
            }
            Address::Group(name) => [None, None, Some(&name[..]), None],
            Address::GroupEnd => [None; 4],
        };
        for (at, part) in parts.into_iter().enumerate() {
            out.push(if at == 0 { b'(' } else { b' ' });
            nstring(out, part, utf8);
        }
        out.push(b')');
    }
    out.push(b')');
}

/// The value of BODY or BODYSTRUCTURE: of the part at this place of the tree, 0 the message.
///
/// Careful: it calls itself as deep as senders nest parts, so that only what it calls besides may
/// keep anything large on the stack.
pub fn body(out: &mut Vec<u8>, message: &[u8], tree: &Tree, at: usize, form: Form) {
    out.push(b'(');
    match tree.parts()[at].shape {
        Shape::Multipart => {
            for child in tree.children(at) {
                body(out, message, tree, child, form);
            }
        }
        Shape::Message => {
            before_message(out, message, tree, at, form);
            body(out, message, tree, at + 1, form);
        }
        Shape::Leaf => {}
    }
    behind_parts(out, message, tree, at, form);
    out.push(b')');
}

/// What stands before the structure of the message that a part is.
#[inline(never)]
fn before_message(out: &mut Vec<u8>, message: &[u8], tree: &Tree, at: usize, form: Form) {
    basic(out, tree, at, &tree.entity(message, at), form.utf8);
    out.push(b' ');
    let header = tree.parts()[at + 1].header.clone();
    envelope(out, &Envelope::new(message, header), form.utf8);
    out.push(b' ');
}

/// What stands behind the structures of the parts within; of a leaf everything.
#[inline(never)]
fn behind_parts(out: &mut Vec<u8>, message: &[u8], tree: &Tree, at: usize, form: Form) {
    let entity = tree.entity(message, at);
    match tree.parts()[at].shape {
        Shape::Multipart => multipart(out, &entity, form),
        Shape::Message => {
            lines(out, tree, at);
            extension(out, &entity, form);
        }
        Shape::Leaf => {
            basic(out, tree, at, &entity, form.utf8);
            if entity.media.eq_ignore_ascii_case(b"text") {
                lines(out, tree, at);
            }
            extension(out, &entity, form);
        }
    }
}

/// What stands behind the parts of a multipart.
fn multipart(out: &mut Vec<u8>, entity: &Entity, form: Form) {
    out.push(b' ');
    string(out, &entity.subtype, form.utf8);
    if form.extended {
        out.push(b' ');
        parameters(out, &entity.parameters, form.utf8);
        common_extension(out, entity, form.utf8);
    }
}

/// The media type and `body-fields`.
fn basic(out: &mut Vec<u8>, tree: &Tree, at: usize, entity: &Entity, utf8: bool) {
    string(out, &entity.media, utf8);
    out.push(b' ');
    string(out, &entity.subtype, utf8);
    out.push(b' ');
    parameters(out, &entity.parameters, utf8);
    out.push(b' ');
    nstring(out, entity.id.as_deref(), utf8);
    out.push(b' ');
    nstring(out, entity.description.as_deref(), utf8);
    out.push(b' ');
    string(out, &entity.encoding, utf8);
    out.push(b' ');
    number(out, tree.parts()[at].octets);
}

fn lines(out: &mut Vec<u8>, tree: &Tree, at: usize) {
    out.push(b' ');
    number(out, tree.parts()[at].lines);
}

fn parameters(out: &mut Vec<u8>, parameters: &[(Vec<u8>, Vec<u8>)], utf8: bool) {
    if parameters.is_empty() {
        return nil(out);
    }
    for (at, (name, value)) in parameters.iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        string(out, name, utf8);
        out.push(b' ');
        string(out, value, utf8);
    }
    out.push(b')');
}

/// `body-ext-1part`
fn extension(out: &mut Vec<u8>, entity: &Entity, form: Form) {
    if form.extended {
        out.push(b' ');
        nstring(out, entity.md5.as_deref(), form.utf8);
        common_extension(out, entity, form.utf8);
    }
}

/// Disposition, language, location.
fn common_extension(out: &mut Vec<u8>, entity: &Entity, utf8: bool) {
    out.push(b' ');
    match &entity.disposition {
        Some(Disposition { kind, parameters: more }) => {
            out.push(b'(');
            string(out, kind, utf8);
            out.push(b' ');
            parameters(out, more, utf8);
            out.push(b')');
        }
        None => nil(out),
    }
    out.push(b' ');
    match &entity.language[..] {
        [] => nil(out),
        [one] => string(out, one, utf8),
        many => {
            for (at, tag) in many.iter().enumerate() {
                out.push(if at == 0 { b'(' } else { b' ' });
                string(out, tag, utf8);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    nstring(out, entity.location.as_deref(), utf8);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Form = Form { extended: false, utf8: false };
    const EXTENDED: Form = Form { extended: true, utf8: false };

    fn written(message: &str, form: Form) -> String {
        let mut out = Vec::new();
        body(&mut out, message.as_bytes(), &Tree::new(message.as_bytes()), 0, form);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn envelopes() {
        let header = "Date: today\nSubject: a \"b\"\nFrom: Ana <@r:ana@b>\nTo: g: c@d;, x\n\
                      Message-ID: <1>\n\n";
        let mut out = Vec::new();
        let value = Envelope::new(header.as_bytes(), 0..header.len());
        envelope(&mut out, &value, false);
        let from = r#"(("Ana" "@r" "ana" "b"))"#;
        let to = r#"((NIL NIL "g" NIL)(NIL NIL "c" "d")(NIL NIL NIL NIL)(NIL NIL "x" ""))"#;
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!(r#"("today" "a \"b\"" {from} {from} {from} {to} NIL NIL NIL "<1>")"#)
        );
        let mut out = Vec::new();
        envelope(&mut out, &Envelope::default(), false);
        assert_eq!(out, b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    }

    #[test]
    fn structures() {
        let text = r#""text" "plain" ("charset" "us-ascii") NIL NIL "7bit""#;
        assert_eq!(written("\nhello\n", PLAIN), format!("({text} 7 1)"));
        assert_eq!(written("", EXTENDED), format!("({text} 0 0 NIL NIL NIL NIL)"));
        let image = "Content-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\
                     Content-ID: <i>\nContent-Description: an image\nContent-MD5: m\n\
                     Content-Disposition: attachment; filename=a.png\nContent-Language: es, en\n\
                     Content-Location: l\n\nAA==\n";
        let basic = r#""image" "png" ("name" "a.png") "<i>" "an image" "base64" 6"#;
        assert_eq!(written(image, PLAIN), format!("({basic})"));
        let more = r#""m" ("attachment" ("filename" "a.png")) ("es" "en") "l""#;
        assert_eq!(written(image, EXTENDED), format!("({basic} {more})"));
        let mixed = "Content-Type: multipart/mixed; boundary=b\nContent-Language: es\n\n--b\n\nhi\n--b\n\
             Content-Type: message/rfc822\n\nSubject: s\n\nx\n--b--\n";
        let envelope = r#"(NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL)"#;
        let letter = r#""message" "rfc822" NIL NIL NIL "7bit" 15"#;
        let inner = format!("{letter} {envelope} ({text} 1 0)");
        assert_eq!(written(mixed, PLAIN), format!(r#"(({text} 2 0)({inner} 2) "mixed")"#));
        let mixed = written(mixed, EXTENDED);
        assert!(mixed.ends_with(r#" 2 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL "es" NIL)"#));
    }

    #[test]
    fn a_session_has_stack_enough() {
        let mut message = String::new();
        for _ in 0..200 {
            message.push_str("Content-Type: message/rfc822\n\n");
        }
        let deep = move || written(&message, EXTENDED).len();
        let stack = crate::limits::STACK / 2;
        let thread = std::thread::Builder::new().stack_size(stack).spawn(deep).unwrap();
        assert!(thread.join().unwrap() > 1_000);
    }
}
