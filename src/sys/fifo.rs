//! Named pipes, for a word from one process to another: fifo(7).

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The end that is read from.
#[derive(Debug)]
pub struct Reader(File);

/// Opens a FIFO for reading, making it if it is missing: its owner and group may write.
pub fn open(path: &Path) -> io::Result<Reader> {
    let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IWGRP;
    match mkfifo(path, mode) {
        // The umask may have taken the group away.
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode.bits()))?,
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    // For writing too: else it would be readable for good once the first writer has closed it.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    match file.metadata()?.file_type().is_fifo() {
        true => Ok(Reader(file)),
        false => Err(io::Error::other(format!("{} is no FIFO", path.display()))),
    }
}

impl Reader {
    /// Takes what was written; whether there was anything.
    pub fn drain(&self) -> bool {
        let mut octets = [0; 4096];
        let mut some = false;
        while matches!((&self.0).read(&mut octets), Ok(count) if count > 0) {
            some = true;
        }
        some
    }
}

impl AsFd for Reader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Writes an octet; false where nobody reads, or there is no FIFO.
pub fn write(path: &Path) -> io::Result<bool> {
    let opened = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let mut fifo = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => return Ok(false),
        opened => opened?,
    };
    match fifo.write(b"!") {
        Ok(_) => Ok(true),
        // It is full: it will be read.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        // Whoever read closed it since it was opened.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}
