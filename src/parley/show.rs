//! What parley(1) prints: a dialogue as it goes, two servers side by side, a table of codes.

use super::compare::{expected_codes, fold, status_codes};
use super::play::shown;
use super::replay::{Event, Exchange, Target, replay};
use super::script::{Act, Protocol, Script, Step};
use std::io::{self, Write};
use std::time::Duration;

/// What to print, and how long to wait.
#[derive(Clone, Copy)]
pub struct Style {
    /// Also the comments of the file.
    pub comments: bool,
    /// Only the table of codes that differ.
    pub table: bool,
    /// How long a server may take for a line.
    pub patience: Duration,
}

/// One row of the table.
pub struct Row {
    place: String,
    command: String,
    left: String,
    right: String,
    /// What the file has, where two servers are compared.
    file: String,
}

/// Width of one server's answers beside the other's.
const COLUMN: usize = 46;

/// Holds a dialogue with one server; the rows are where its codes are not those of the file. How
/// many answers differ in any way comes with them.
pub fn one(
    script: &Script,
    target: &Target,
    style: Style,
    out: &mut dyn Write,
) -> io::Result<(Vec<Row>, usize)> {
    let mut printed = Ok(());
    let exchanges = replay(script, target, style.patience, &mut |event| {
        if !style.table && printed.is_ok() {
            printed = match event {
                Event::Line(step) => line(step, style, out),
                Event::Exchange(exchange) => answer(exchange, out),
            };
        }
    });
    printed?;
    let alive = exchanges.iter().filter(|exchange| !exchange.dead);
    let rows = alive.clone().filter_map(|exchange| {
        row(script, exchange, expected(exchange), codes(exchange), String::new())
    });
    let differ = alive.filter(|exchange| exchange.difference.is_some()).count();
    Ok((rows.collect(), differ))
}

/// Holds a dialogue with two servers, one after the other; the rows are where their codes differ.
pub fn two(
    script: &Script,
    targets: [&Target; 2],
    style: Style,
    out: &mut dyn Write,
) -> io::Result<Vec<Row>> {
    let [left, right] = targets.map(|target| replay(script, target, style.patience, &mut |_| {}));
    let mut rows = Vec::new();
    for (left, right) in left.iter().zip(&right) {
        let alive = !left.dead && !right.dead;
        let row = alive.then(|| row(script, left, codes(left), codes(right), expected(left)));
        let row = row.flatten();
        if !style.table {
            for step in &left.said {
                writeln!(out, "  {}", shown(step.source.as_bytes()))?;
            }
            beside(left, right, row.is_some(), out)?;
        }
        rows.extend(row);
    }
    Ok(rows)
}

/// The table, in columns.
pub fn table(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let width = |cell: fn(&Row) -> &str| {
        rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0)
    };
    let (place, command) = (width(|row| &row.place), width(|row| &row.command));
    let (left, right) = (width(|row| &row.left), width(|row| &row.right));
    for row in rows {
        let Row { place: at, command: said, left: one, right: other, file } = row;
        let line = format!("{at:place$} {said:command$} {one:left$}  {other:right$}  {file}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A comment, or what the site must have.
fn line(step: &Step, style: Style, out: &mut dyn Write) -> io::Result<()> {
    match &step.act {
        Act::Comment if style.comments => writeln!(out, "{}", step.source),
        Act::Comment => Ok(()),
        Act::Site(_)
        | Act::Set(..)
        | Act::User(..)
        | Act::Alias(_)
        | Act::File(..)
        | Act::Zone(_)
        | Act::Mail { .. } => writeln!(out, "  the server must have: {}", step.source),
        _ => writeln!(out, "  to be done at the server, and not done: {}", step.source),
    }
}

/// One exchange with one server: a difference is marked, and shown with what the file has.
fn answer(exchange: &Exchange, out: &mut dyn Write) -> io::Result<()> {
    for step in &exchange.said {
        writeln!(out, "  {}", shown(step.source.as_bytes()))?;
    }
    let mark = if exchange.difference.is_some() { '!' } else { ' ' };
    for got in &exchange.got {
        writeln!(out, "{mark} S: {}", shown(got))?;
    }
    for note in &exchange.notes {
        writeln!(out, "{mark} -- {}", shown(note.as_bytes()))?;
    }
    match exchange.difference {
        Some(step) => writeln!(out, "! line {} has: {}", step.line, step.source),
        None => Ok(()),
    }
}

/// The codes of an exchange, or in words why there are none.
fn codes(exchange: &Exchange) -> String {
    let mut lines = exchange.got.iter().map(Vec::as_slice);
    let codes = match exchange.protocol {
        // What follows a status line in POP3 is content, and may look like anything.
        Protocol::Pop3 if exchange.got.last().is_some_and(|line| line == b".") => {
            status_codes(exchange.protocol, lines.by_ref().take(1))
        }
        _ => status_codes(exchange.protocol, lines),
    };
    match exchange.notes.first() {
        Some(note) if codes.is_empty() => note.clone(),
        _ => runs(&codes),
    }
}

/// The codes the file expects.
fn expected(exchange: &Exchange) -> String {
    runs(&expected_codes(exchange.protocol, &exchange.rows))
}

/// `250 250 250 452` is `250x3 452`.
fn runs(codes: &[String]) -> String {
    let runs = codes.chunk_by(|one, other| one == other).map(|run| match run {
        [one] => one.clone(),
        many => format!("{}x{}", many[0], many.len()),
    });
    runs.collect::<Vec<_>>().join(" ")
}

fn row(
    script: &Script,
    exchange: &Exchange,
    left: String,
    right: String,
    file: String,
) -> Option<Row> {
    let last = |codes: &str| {
        let last = codes.rsplit(' ').next().unwrap_or_default();
        last.split('x').next().unwrap_or_default().to_string()
    };
    // Any lines may pass at `...`: then only the last code can be compared.
    let any = exchange
        .rows
        .iter()
        .any(|row| matches!(&row.act, Act::Expect(_, text) if text.is_anything()));
    let same = left == right || any && last(&left) == last(&right);
    (!same).then(|| Row {
        place: format!("{}:{}:", script.path.display(), exchange.line),
        command: format!("{}:", command(exchange)),
        left: if left.is_empty() { "-".into() } else { left },
        right: if right.is_empty() { "-".into() } else { right },
        file: if file.is_empty() { file } else { format!("(file: {file})") },
    })
}

/// What was said last, cut to a width.
fn command(exchange: &Exchange) -> String {
    let Some(step) = exchange.said.last() else { return "(then)".into() };
    let said = step.source.trim_start_matches(|c: char| c.is_ascii_digit());
    let said = match &step.act {
        Act::Server(..) => "(greeting)",
        _ => said.get(2..).unwrap_or_default().trim_start(),
    };
    cut(&shown(said.as_bytes()), 40)
}

fn beside(left: &Exchange, right: &Exchange, differ: bool, out: &mut dyn Write) -> io::Result<()> {
    let lines = |exchange: &Exchange| -> Vec<String> {
        let got = exchange.got.iter().map(|line| shown(fold(line, &exchange.host).as_bytes()));
        got.chain(exchange.notes.iter().map(|note| format!("-- {note}"))).collect()
    };
    let (left, right) = (lines(left), lines(right));
    let mark = if differ { '!' } else { ' ' };
    for at in 0..left.len().max(right.len()) {
        let cell = |lines: &[String]| cut(lines.get(at).map_or("", String::as_str), COLUMN);
        let text = format!("{mark}   {:COLUMN$} | {}", cell(&left), cell(&right));
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    let kept: String = text.chars().take(width - 3).collect();
    format!("{kept}...")
}
