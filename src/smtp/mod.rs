//! The language of RFC 5321: what clients say and what servers answer, as values.

pub mod client; // the client's side of the dialogue
pub mod command; // §4.1: octets to a Command
mod parameters; // those of MAIL and RCPT
pub mod reply; // §4.2: a Reply to octets
mod verbs; // the table of commands: name, section, syntax, parser
