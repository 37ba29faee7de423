//! Messages as values: addresses, dates, trace fields, header sections, MIME parts, text to search.
//!
//! Pure and total: bytes in, values out; any string of bytes is a message.

mod address; // RFC 5321 §4.1.2: paths and mailboxes
mod addresses; // RFC 5322 §3.4: who a field names
mod binary; // RFC 3030: binary parts become base64
mod boundary; // RFC 2046 §5.1.1: what delimits parts
mod charset; // charsets and case, for SEARCH
mod date; // RFC 5322 §3.3
mod encode; // RFC 2045 §6: transfer codings done
mod entity; // RFC 2045: what a part's header says of it, for a client
mod envelope; // RFC 3501 §7.4.2: who, to whom, what about
mod fields; // RFC 5322 §2.2: the fields of a header section
mod header; // RFC 5322 §2.2: the fields of a message that passes by
mod mime; // RFC 2045, RFC 2046: what a part's header says
mod passing; // RFC 2046 §5: the parts of a message that passes by
mod search; // RFC 3501 §6.4.4: words in a message
mod section; // RFC 3501 §6.4.5: what a client can ask for
mod seven; // RFC 6152 §3: for hosts that take only ASCII
mod survey; // what kind of octets a message holds
mod tally; // lines and octets as on the wire
mod tokens; // RFC 5322 §3.2: what structured fields are made of
mod trace; // RFC 5321 §4.4: what we put first
mod transfer; // RFC 2045 §6: transfer codings undone
mod tree; // RFC 2046 §5: the parts of a message
mod unqualified; // RFC 5322 §3.4: addresses that lack their domain
mod words; // RFC 2047: header text as people read it

pub use address::{Fault, Mailbox, domain, forward_path, reverse_path, written_path};
pub use addresses::{Address, addresses};
pub use binary::ToText;
pub use date::{asctime, date, read_date};
pub use entity::{Disposition, Entity};
pub use envelope::Envelope;
pub use fields::{Field, Fields, field, fields, unfold};
pub use header::{Filter, is_field};
pub use search::Search;
pub use section::Side;
pub use seven::{Plan, Planner, ToSeven};
pub use survey::Survey;
pub use tally::wire_octets;
pub use trace::{Hop, delivered_to, return_path, submitted};
pub use transfer::{Coding, Decoded};
pub use tree::{Part, Shape, Tree};
pub use unqualified::unqualified;
pub use words::decode_words;
