//! What `scripts/bench` measures with: clients that load a server, the bare loop that they are
//! measured against, and the mailbox that they read.
//!
//! `load smtp`, `load pop3`, `load imap` and `load idle` are clients of any server; `load sink` receives the
//! same octets as an SMTP server and makes the same writes and syncs, and nothing else; `load
//! maildir` writes a mailbox of varied messages, the same each time. One line of numbers each. A
//! `%` in a recipient or a user is a number that counts up, for the many.

use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

mod imap;

type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: load smtp ADDRESS CONNECTIONS LETTERS OCTETS RECIPIENT
       load sink DIRECTORY
       load pop3 ADDRESS USER PASSWORD ROUNDS
       load idle smtp|pop3 ADDRESS SESSIONS plain|tls [USER PASSWORD]
       load imap ADDRESS USER PASSWORD COMMAND ...
       load imap-append ADDRESS USER FOLDER LETTERS OCTETS
       load imap-sessions ADDRESS USER COUNT AT_ONCE
       load imap-idle ADDRESS USER COUNT [BOXES plain|tls]
       load maildir DIRECTORY COUNT";

/// Recipients that take turns.
const MANY: usize = 100;

fn main() -> Done {
    // cargo bench adds an argument of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["smtp", address, connections, letters, octets, recipient] => {
            let letter = letter(octets.parse()?);
            smtp(address, connections.parse()?, letters.parse()?, &letter, recipient)
        }
        ["sink", directory] => sink(Path::new(directory)),
        ["pop3", address, user, password, rounds] => {
            (0..rounds.parse()?).try_for_each(|_| pop3(address, user, password))
        }
        ["idle", protocol, address, sessions, tls] => {
            idle(protocol == "smtp", address, sessions.parse()?, tls == "tls", None)
        }
        ["idle", "pop3", address, sessions, "plain", user, password] => {
            idle(false, address, sessions.parse()?, false, Some((user, password)))
        }
        ["imap", address, user, password, ref commands @ ..] => {
            imap::commands(address, user, password, commands)
        }
        ["imap-append", address, user, folder, letters, octets] => {
            imap::append(address, user, folder, letters.parse()?, octets.parse()?)
        }
        ["imap-sessions", address, user, count, at_once] => {
            imap::sessions(address, user, count.parse()?, at_once.parse()?)
        }
        ["imap-idle", address, user, count] => imap::idle(address, user, count.parse()?, 1, false),
        ["imap-idle", address, user, count, boxes, tls] => {
            imap::idle(address, user, count.parse()?, boxes.parse()?, tls == "tls")
        }
        ["maildir", directory, count] => maildir(Path::new(directory), count.parse()?),
        [] => {
            println!("{USAGE}\n'make bench' runs it.");
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn counted(name: &str, number: usize) -> String {
    name.replace('%', &number.to_string())
}

/// A letter of so many octets in wire form.
fn letter(octets: usize) -> Vec<u8> {
    let mut letter = b"From: load@example.test\r\nTo: alice@example.test\r\n\
        Subject: a letter among many\r\nMIME-Version: 1.0\r\n\
        Content-Type: text/plain; charset=us-ascii\r\n\r\n"
        .to_vec();
    while letter.len() + 2 < octets {
        let room = octets - letter.len() - 2;
        let line = "The quick brown fox jumps over the lazy dog, and over it again and again.";
        letter.extend_from_slice(&line.as_bytes()[..room.min(line.len())]);
        letter.extend_from_slice(b"\r\n");
    }
    letter
}

/// One client's side of a dialogue of lines.
struct Client<S: Read + Write> {
    stream: BufReader<S>,
    line: Vec<u8>,
}

impl Client<TcpStream> {
    fn connect(address: &str) -> Done<Client<TcpStream>> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(1200)))?;
        Ok(Client { stream: BufReader::with_capacity(4096, stream), line: Vec::new() })
    }
}

impl<S: Read + Write> Client<S> {
    fn send(&mut self, text: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(text)
    }

    fn line(&mut self) -> Done<&[u8]> {
        self.line.clear();
        match self.stream.read_until(b'\n', &mut self.line)? {
            0 => Err("the server hung up".into()),
            _ => Ok(&self.line),
        }
    }

    /// The last line of an SMTP reply, whose code must begin so.
    fn reply(&mut self, code: &str) -> Done {
        loop {
            let line = self.line()?;
            if line.get(3) != Some(&b'-') {
                return match line.starts_with(code.as_bytes()) {
                    true => Ok(()),
                    false => Err(String::from_utf8_lossy(line).into()),
                };
            }
        }
    }

    fn ask(&mut self, text: &str, code: &str) -> Done {
        self.send(text.as_bytes())?;
        self.reply(code)
    }
}

/// Sends letters over so many connections, and tells how many a second were answered 250.
fn smtp(address: &str, connections: usize, letters: usize, letter: &[u8], to: &str) -> Done {
    let taken = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(connections + 1));
    let text = [letter, b".\r\n"].concat();
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (taken, barrier) = (Arc::clone(&taken), Arc::clone(&barrier));
            let (address, to, text) = (address.to_owned(), to.to_owned(), text.clone());
            thread::spawn(move || -> Done {
                let ready = Client::connect(&address).and_then(|mut client| {
                    client.reply("220")?;
                    client.ask("EHLO load.example.test\r\n", "250")?;
                    Ok(client)
                });
                barrier.wait();
                let mut client = ready?;
                loop {
                    let number = taken.fetch_add(1, Ordering::Relaxed);
                    if number >= letters {
                        break;
                    }
                    let to = counted(&to, number % MANY);
                    let envelope =
                        format!("MAIL FROM:<load@example.test>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
                    client.send(envelope.as_bytes())?;
                    ["250", "250", "354"].into_iter().try_for_each(|code| client.reply(code))?;
                    client.send(&text)?;
                    client.reply("250")?;
                }
                client.ask("QUIT\r\n", "221")
            })
        })
        .collect();
    barrier.wait();
    let start = Instant::now();
    for client in clients {
        client.join().map_err(|_| "a client panicked")??;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("letters={letters} seconds={seconds:.3} per_second={:.1}", letters as f64 / seconds);
    Ok(())
}

/// The bare loop: an SMTP server that looks at nothing, but keeps each letter as smtpd does.
fn sink(directory: &Path) -> Done {
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(directory.join(part))?;
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let count = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let (stream, directory, count) = (stream?, directory.to_owned(), Arc::clone(&count));
        thread::spawn(move || sink_session(stream, &directory, &count));
    }
    Ok(())
}

fn sink_session(mut stream: TcpStream, directory: &Path, count: &AtomicUsize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink\r\n")?;
    let new = File::open(directory.join("new"))?;
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    let mut text = false;
    loop {
        let read = stream.read(&mut buffer[filled..])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let said = &buffer[..filled];
        match text {
            true if said.ends_with(b"\r\n.\r\n") => {
                let name = count.fetch_add(1, Ordering::Relaxed).to_string();
                let (tmp, done) = (directory.join("tmp").join(&name), directory.join("new"));
                let mut file = File::create_new(&tmp)?;
                file.write_all(&said[..filled - 3])?;
                file.sync_all()?;
                fs::rename(&tmp, done.join(&name))?;
                new.sync_all()?;
                stream.write_all(b"250 kept\r\n")?;
            }
            false if said.ends_with(b"DATA\r\n") => {
                stream.write_all(b"250 ok\r\n250 ok\r\n354 go on\r\n")?;
            }
            false if said.starts_with(b"QUIT") => return stream.write_all(b"221 bye\r\n"),
            false if said.starts_with(b"EHLO") => {
                stream.write_all(b"250-sink\r\n250 PIPELINING\r\n")?;
            }
            _ => continue,
        }
        text = said.ends_with(b"DATA\r\n");
        filled = 0;
    }
}

/// Logs in, asks STAT, fetches everything by pipelined RETR, and tells how long each took.
fn pop3(address: &str, user: &str, password: &str) -> Done {
    let mut client = Client::connect(address)?;
    client.stream = BufReader::with_capacity(64 * 1024, client.stream.into_inner());
    client.reply("+OK")?;
    client.ask(&format!("USER {user}\r\n"), "+OK")?;
    let start = Instant::now();
    client.ask(&format!("PASS {password}\r\n"), "+OK")?;
    let login = start.elapsed();
    client.send(b"STAT\r\n")?;
    let stat = String::from_utf8_lossy(client.line()?).into_owned();
    let first_stat = start.elapsed();
    let mut words = stat.split_whitespace().skip(1);
    let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
    let (messages, octets) = number().zip(number()).ok_or(stat.clone())?;
    let start = Instant::now();
    let mut commands = client.stream.get_ref().try_clone()?;
    let writer = thread::spawn(move || -> io::Result<()> {
        let all: String = (1..=messages).map(|number| format!("RETR {number}\r\n")).collect();
        commands.write_all(all.as_bytes())
    });
    let mut seen = 0;
    for _ in 0..messages {
        seen += retrieved(&mut client)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    writer.join().map_err(|_| "the writer panicked")??;
    client.ask("QUIT\r\n", "+OK")?;
    if seen != octets {
        return Err(format!("STAT said {octets} octets, RETR gave {seen}").into());
    }
    println!(
        "messages={messages} octets={octets} login_ms={:.2} stat_ms={:.2} retr_seconds={seconds:.3} \
         per_second={:.1}",
        login.as_secs_f64() * 1e3,
        first_stat.as_secs_f64() * 1e3,
        messages as f64 / seconds
    );
    Ok(())
}

/// Reads one answer to RETR; the octets of its message (RFC 1939 §11).
fn retrieved(client: &mut Client<TcpStream>) -> Done<usize> {
    client.reply("+OK")?;
    let mut octets = 0;
    loop {
        match client.line()? {
            b".\r\n" => return Ok(octets),
            [b'.', stuffed @ ..] => octets += stuffed.len(),
            line => octets += line.len(),
        }
    }
}

/// Opens sessions, says that it did, and holds them until standard input ends.
fn idle(
    smtp: bool,
    address: &str,
    sessions: usize,
    tls: bool,
    login: Option<(&str, &str)>,
) -> Done {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    connector.set_verify(SslVerifyMode::NONE);
    let connector = connector.build();
    let mut plain = Vec::new();
    let mut secure = Vec::new();
    for number in 0..sessions {
        let mut client = Client::connect(address)?;
        greet(&mut client, smtp, true)?;
        if let Some((user, password)) = login {
            client.ask(&format!("USER {}\r\n", counted(user, number)), "+OK")?;
            client.ask(&format!("PASS {password}\r\n"), "+OK")?;
        }
        if !tls {
            plain.push(client.stream.into_inner());
            continue;
        }
        match smtp {
            true => client.ask("STARTTLS\r\n", "220")?,
            false => client.ask("STLS\r\n", "+OK")?,
        }
        let stream: SslStream<TcpStream> =
            connector.connect("mail.example.test", client.stream.into_inner())?;
        let mut client = Client { stream: BufReader::new(stream), line: Vec::new() };
        greet(&mut client, smtp, false)?;
        secure.push(client.stream.into_inner());
    }
    println!("sessions={}", plain.len() + secure.len());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn greet<S: Read + Write>(client: &mut Client<S>, smtp: bool, greeting: bool) -> Done {
    if greeting {
        client.reply(if smtp { "220" } else { "+OK" })?;
    }
    if smtp {
        return client.ask("EHLO load.example.test\r\n", "250");
    }
    client.ask("CAPA\r\n", "+OK")?;
    while client.line()? != b".\r\n" {}
    Ok(())
}

/// Writes varied messages: most small, some large, of three shapes; sizes stand in the names.
fn maildir(directory: &Path, count: usize) -> Done {
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(directory.join(part))?;
    }
    let mut random = Random(20_000);
    for number in 0..count {
        let text = message(number, &mut random);
        let lines = text.iter().filter(|octet| **octet == b'\n').count();
        let name = format!(
            "{}.M{number}P1.bench,S={},W={}:2,S",
            1_700_000_000 + number,
            text.len(),
            text.len() + lines
        );
        let path: PathBuf = directory.join("cur").join(name);
        fs::write(path, text)?;
    }
    Ok(())
}

fn message(number: usize, random: &mut Random) -> Vec<u8> {
    let mut text = Vec::new();
    for hop in 0..1 + random.below(5) {
        let line = format!(
            "Received: from relay{hop}.example.test (relay{hop}.example.test [192.0.2.{hop}])\n\
             \tby mail.example.test with ESMTPS id {number:08}; Mon, 2 Nov 2026 10:00:00 +0000\n"
        );
        text.extend_from_slice(line.as_bytes());
    }
    let fields = format!(
        "From: Luis <luis{}@example.test>\nTo: alice@example.test\n\
         Date: Mon, 2 Nov 2026 10:00:00 +0000\n\
         Subject: message {number}\nMessage-ID: <{number}@bench.example.test>\n\
         MIME-Version: 1.0\n",
        random.below(100)
    );
    text.extend_from_slice(fields.as_bytes());
    let part = |kind: &str| format!("Content-Type: {kind}; charset=utf-8\n\n");
    let size = 500 + random.below(8_000);
    // Most letters are a page or two; one in fifty has an attachment, others two forms of a text.
    let (kind, end) = match (random.below(50), number % 3) {
        (0, _) => ("mixed", 100_000),
        (_, 0) => ("alternative", size),
        (_, 1) => ("text/html", size),
        _ => ("text/plain", size),
    };
    let end = text.len() + end;
    if kind.starts_with("text") {
        text.extend_from_slice(part(kind).as_bytes());
        words(&mut text, end, random);
        return text;
    }
    let head = format!("Content-Type: multipart/{kind}; boundary=\"=_{number}\"\n\n--=_{number}\n");
    text.extend_from_slice(head.as_bytes());
    text.extend_from_slice(part("text/plain").as_bytes());
    let half = (text.len() + size / 2).min(end);
    words(&mut text, half, random);
    text.extend_from_slice(format!("\n--=_{number}\n").as_bytes());
    if kind == "alternative" {
        text.extend_from_slice(part("text/html").as_bytes());
        words(&mut text, end, random);
    } else {
        let head = "Content-Type: application/octet-stream; name=\"a.bin\"\n\
            Content-Transfer-Encoding: base64\n\
            Content-Disposition: attachment; filename=\"a.bin\"\n\n";
        text.extend_from_slice(head.as_bytes());
        while text.len() < end {
            text.extend((0..76).map(|_| b'A' + random.below(26) as u8).chain([b'\n']));
        }
    }
    text.extend_from_slice(format!("\n--=_{number}--\n").as_bytes());
    text
}

fn words(text: &mut Vec<u8>, end: usize, random: &mut Random) {
    while text.len() < end {
        for _ in 0..1 + random.below(14) {
            let word: &[&str] = &["correo", "buzón", "letter", ".dot", "<b>box</b>", "a"];
            text.extend_from_slice(word[random.below(word.len())].as_bytes());
            text.push(b' ');
        }
        text.push(b'\n');
        if random.below(40) == 0 {
            text.extend_from_slice(b".starts with a dot\n");
        }
    }
}

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}
