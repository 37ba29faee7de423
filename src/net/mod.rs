//! Sockets: how a connection comes in, how octets become lines, how a daemon lives.
//!
//! The one door to the network. Nothing here knows a mail protocol; what differs between the
//! daemons comes in as a `Daemon`.

pub mod client; // the other side: what parley and the tests speak through
pub mod conn; // lines in, replies out
pub mod daemon; // options, configuration, sockets, identity, signals
pub mod dot; // RFC 5321 §4.5.2 and RFC 1939 §3: the octet before a line's dot
mod listen; // accept, start a thread each
mod owner; // who the daemon is after its start
mod session; // what a daemon is, and what a session begins with
mod stream; // plain, TLS, or standard input and output
mod table; // how many connections there are
mod tls; // certificates, SNI, the server's side of the handshake
mod transcript; // a session as it happens, for a person to read

pub use conn::{Conn, Hangup, Line, Woken};
pub use session::{Daemon, Session};
pub use table::Full;
pub use tls::{Acceptor, TlsInfo};
pub use transcript::Transcript;
