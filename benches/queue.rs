//! What a queue is measured with: many letters in it, and the host that they go to.

use crate::{Done, letter};
use buzon::mail::forward_path;
use buzon::queue::{Content, Envelope, Queue};
use buzon::sys::clock;
use buzon::text::Cursor;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Letters that are written at the same time, so that they share the disk's syncs.
const WRITERS: usize = 32;

/// Puts letters of so many octets in, in turn for each of so many domains, due in so many seconds.
pub fn fill(root: &Path, count: usize, domains: usize, due: u64, octets: usize) -> Done {
    let queue = Queue::new(root);
    let text: Vec<u8> = letter(octets).into_iter().filter(|octet| *octet != b'\r').collect();
    let next = AtomicUsize::new(0);
    let path = |text: &str| {
        forward_path(&mut Cursor::new(text.as_bytes())).map_err(|_| format!("'{text}' is no path"))
    };
    let write = || -> Done {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            let at = clock::micros() / 1_000_000 + due;
            let sender = path("load@example.test")?;
            let mut envelope = Envelope::new(clock::id(), at, Some(sender));
            envelope.add(path(&format!("luis@d{}.test", number % domains))?);
            queue.put(&envelope, b"", &Content::Memory(&text))?;
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer panicked")?)
    })?;
    println!("letters={count}");
    Ok(())
}

/// What the connections of a host share.
struct Host {
    delay: Duration,
    count: usize,
    taken: AtomicUsize,
    connections: AtomicUsize,
    first: OnceLock<Instant>,
}

/// A host on every address of this machine that takes all letters and keeps none; each reply comes
/// after a delay. Tells when it has so many, and ends with its input.
pub fn host(port: u16, delay: Duration, count: usize) -> Done {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("port={}", listener.local_addr()?.port());
    let (taken, connections) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let host = Arc::new(Host { delay, count, taken, connections, first: OnceLock::new() });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let host = Arc::clone(&host);
            host.first.get_or_init(Instant::now);
            host.connections.fetch_add(1, Ordering::Relaxed);
            let builder = thread::Builder::new().stack_size(128 * 1024);
            let _ = builder.spawn(move || host.serve(&stream));
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

impl Host {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut lines = BufReader::with_capacity(16 * 1024, stream);
        let (mut line, mut replies) = (Vec::new(), Vec::new());
        self.say(stream, &mut replies, b"220 sink\r\n", true)?;
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let is_last = lines.buffer().is_empty();
            match line.first() {
                Some(b'E') => {
                    let offers =
                        b"250-sink\r\n250-PIPELINING\r\n250-SIZE 99999999\r\n250 8BITMIME\r\n";
                    self.say(stream, &mut replies, offers, true)?;
                }
                Some(b'D') => {
                    self.say(stream, &mut replies, b"354 go on\r\n", true)?;
                    while line != b".\r\n" {
                        line.clear();
                        if lines.read_until(b'\n', &mut line)? == 0 {
                            return Ok(());
                        }
                    }
                    let is_last = lines.buffer().is_empty();
                    self.say(stream, &mut replies, b"250 taken\r\n", is_last)?;
                    self.note();
                }
                Some(b'Q') => return self.say(stream, &mut replies, b"221 bye\r\n", true),
                _ => self.say(stream, &mut replies, b"250 ok\r\n", is_last)?,
            }
        }
    }

    /// A reply; where none is delayed those of a group go together.
    fn say(
        &self,
        mut stream: &TcpStream,
        replies: &mut Vec<u8>,
        reply: &[u8],
        is_last: bool,
    ) -> io::Result<()> {
        replies.extend_from_slice(reply);
        if !self.delay.is_zero() {
            thread::sleep(self.delay);
        } else if !is_last {
            return Ok(());
        }
        stream.write_all(replies)?;
        replies.clear();
        Ok(())
    }

    fn note(&self) {
        if self.taken.fetch_add(1, Ordering::AcqRel) + 1 != self.count {
            return;
        }
        let seconds = self.first.get().map_or(0.0, |first| first.elapsed().as_secs_f64());
        let connections = self.connections.load(Ordering::Relaxed);
        println!(
            "letters={} seconds={seconds:.3} per_second={:.1} connections={connections}",
            self.count,
            self.count as f64 / seconds
        );
    }
}
