//! A letter on its way into a mailbox: where its octets are, whatever format the mailbox has.

use std::fs::File;

/// A letter as it is to be stored: octets with LF line ends.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The address it comes from, empty for none: what divides an mbox names it.
    pub sender: &'a str,
    /// Trace fields to put first.
    pub head: &'a [u8],
    /// The letter as it came.
    pub body: Body<'a>,
}

/// Where the octets of a letter are.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// In memory.
    Octets(&'a [u8]),
    /// In a file.
    File {
        /// Open for reading; its offset is moved.
        file: &'a File,
        /// Where they begin.
        at: u64,
        /// How many octets.
        octets: u64,
        /// How many of them are LF.
        lines: u64,
    },
}
