//! A question on the terminal whose answer is not shown.

#![allow(unsafe_code)]

use nix::libc;
use std::io::{self, BufRead, IsTerminal, Write};
use std::mem::MaybeUninit;

/// Control-C, which ends the line while we ask.
const INTERRUPT: u8 = 3;

/// Whether somebody sits at standard input.
pub fn is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// One line of standard input without its end; `None` at the end of file. On a terminal it is
/// asked for by `prompt`, and not shown.
pub fn ask(prompt: &str) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if is_terminal() {
        let mut terminal = io::stderr();
        write!(terminal, "{prompt}: ")?;
        let silent = Silent::new()?;
        let read = read_line(&mut line);
        drop(silent);
        writeln!(terminal)?;
        read?;
        if line.pop_if(|last| *last == INTERRUPT).is_some() {
            return Err(io::ErrorKind::Interrupted.into());
        }
    } else {
        read_line(&mut line)?;
    }
    if line.is_empty() {
        return Ok(None);
    }
    line.pop_if(|last| *last == b'\n');
    line.pop_if(|last| *last == b'\r');
    Ok(Some(line))
}

/// Up to a line end, or to what ends the line on a terminal.
fn read_line(line: &mut Vec<u8>) -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    loop {
        let buffer = stdin.fill_buf()?;
        let end = buffer.iter().position(|octet| [b'\n', INTERRUPT].contains(octet));
        let taken = end.map_or(buffer.len(), |at| at + 1);
        line.extend_from_slice(&buffer[..taken]);
        stdin.consume(taken);
        if end.is_some() || taken == 0 {
            return Ok(());
        }
    }
}

/// Standard input without echo, for as long as this lives.
struct Silent(libc::termios);

impl Silent {
    fn new() -> io::Result<Silent> {
        let mut settings = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: tcgetattr(3) fills the structure or fails.
        let before = unsafe {
            if libc::tcgetattr(libc::STDIN_FILENO, settings.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            settings.assume_init()
        };
        let mut silent = before;
        // Careful: a signal would leave the terminal silent, so Control-C ends the line instead.
        silent.c_lflag &= !(libc::ECHO | libc::ISIG);
        silent.c_cc[libc::VEOL] = INTERRUPT;
        set(&silent)?;
        Ok(Silent(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = set(&self.0);
    }
}

fn set(settings: &libc::termios) -> io::Result<()> {
    // SAFETY: the settings are a whole structure.
    match unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSAFLUSH, settings) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
