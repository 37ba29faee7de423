//! Written dialogues, and servers to hold them with.
//!
//! `text` computes what is sent and matches what is expected; `script` reads a file into steps;
//! `play` holds a server to every line, for the tests; `replay` goes on after a difference and
//! writes down what the server said, for parley(1); `compare` puts two such records side by side.

pub mod compare;
mod imap;
pub mod play;
pub mod replay;
pub mod script;
pub mod show;
mod talk;
pub mod text;
