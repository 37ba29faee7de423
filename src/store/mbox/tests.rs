//! Killed at every write: a child process does the work and aborts at step N, for each N. Then
//! every message that was to stay must be whole in the file as mutt would read it, and once one of
//! ours has locked it, the mailbox is as it was before or as it was to be.

#![allow(clippy::unwrap_used)]

use super::super::{Body, Error, Flags, Letter, Wire};
use super::scan::scan;
use super::{Tree, View, append, message};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LETTERS: usize = 6;

/// For the work of that name, the disk is full.
pub fn disk_is_full() -> io::Result<()> {
    match std::env::var("BUZON_WORK").is_ok_and(|work| work == FULL) {
        true => Err(io::Error::from(io::ErrorKind::StorageFull)),
        false => Ok(()),
    }
}

const FULL: &str = "remove on a full disk";

/// Kills us at the step that the environment names.
pub fn checkpoint() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static STEP: AtomicU32 = AtomicU32::new(0);
    let step = STEP.fetch_add(1, Ordering::Relaxed).to_string();
    if std::env::var("BUZON_KILL_AT").is_ok_and(|at| at == step) {
        std::process::abort();
    }
}

fn body(number: usize) -> String {
    let lines = "a line of it\nFrom here on\n".repeat(3 * number % 11);
    format!("To: bob\nSubject: {number}\n\n{lines}the end of {number}\n")
}

fn deliver(place: &Path, number: usize) {
    let body = body(number);
    let letter =
        Letter { sender: "a@b.example", head: b"X-Hop: 1\n", body: Body::Octets(body.as_bytes()) };
    let deadline = Instant::now() + Duration::from_secs(10);
    append::prepare(&place.join("alice"), &place.join("mail"), &letter, deadline).unwrap().settle();
}

/// Three at one go, as APPEND, COPY and MOVE do.
fn take_in(place: &Path) {
    let tree = Tree::new(&place.join("alice"), &place.join("mail"));
    let prepare = |number| {
        let text = body(number);
        let letter =
            Letter { sender: "", head: b"X-Hop: 1\n", body: Body::Octets(text.as_bytes()) };
        let words = ["Junk".to_owned()];
        super::prepare_append(tree.place("INBOX").unwrap(), &letter, Flags::SEEN, &words, None)
    };
    let letters: Vec<_> = (LETTERS..LETTERS + 3).map(|number| prepare(number).unwrap()).collect();
    super::commit_append(&letters).unwrap();
}

/// As procmail would: no room for notes.
fn append_as_others_do(place: &Path, number: usize) {
    use std::io::Write;
    let mut file = File::options().append(true).create(true).open(place.join("alice")).unwrap();
    let text = format!("X-Hop: 1\n{}\n", body(number).replace("From here", ">From here"));
    write!(file, "From c@d.example  Sat Nov 21 00:46:04 2026\n{text}").unwrap();
}

/// A child that another test is about to start has our lock too, until it is another program.
fn open(place: &Path) -> View {
    loop {
        match View::open_exclusive(&place.join("alice"), &place.join("mail")) {
            Err(Error::Busy) => std::thread::yield_now(),
            view => return view.unwrap(),
        }
    }
}

fn text(mut wire: Wire) -> String {
    let mut all = Vec::new();
    loop {
        match wire.chunk().unwrap() {
            [] => return String::from_utf8(all).unwrap().replace('\r', ""),
            chunk => all.extend_from_slice(chunk),
        }
    }
}

fn letters(view: &mut View) -> Vec<String> {
    (0..view.messages().len()).map(|index| text(view.read(index).unwrap())).collect()
}

/// Every message as it lies in the file, without asking the plan; empty lines may end it.
fn raw(place: &Path) -> Vec<String> {
    let file = File::open(place.join("alice")).unwrap();
    let entries = scan(&file).unwrap();
    let read = |at, end| {
        let mut letter = Vec::new();
        message::read(&file, at, end, &mut |text| {
            letter.extend_from_slice(text);
            Ok(())
        })
        .unwrap();
        format!("{}\n", String::from_utf8_lossy(&letter).trim_end())
    };
    let whole = entries.iter().filter(|entry| !entry.facts.is_incomplete);
    whole.map(|entry| read(entry.at, entry.end())).collect()
}

fn expected(numbers: &[usize]) -> Vec<String> {
    numbers.iter().map(|number| format!("X-Hop: 1\n{}", body(*number))).collect()
}

type Work = (&'static str, fn(&Path));

/// What the child does.
const WORK: [Work; 6] = [
    ("append", |place| deliver(place, LETTERS)),
    ("take in", take_in),
    ("number", |place| drop(open(place))),
    ("remove", |place| open(place).update(&[0, 2, 3], &[4]).unwrap()),
    (FULL, |place| open(place).update(&[0, 1, 3], &[]).unwrap()),
    ("remove-last", |place| open(place).update(&[4, 5], &[]).unwrap()),
];

#[test]
fn child() {
    let (Ok(work), Some(place)) = (std::env::var("BUZON_WORK"), std::env::var_os("BUZON_PLACE"))
    else {
        return;
    };
    let (_, act) = WORK.iter().find(|(name, _)| *name == work).unwrap();
    act(Path::new(&place));
}

/// Furnishes a place and has a child killed at its step; false where it came to its end.
fn killed_at(step: u32, work: &str, furnish: fn(&Path)) -> (tempfile::TempDir, bool) {
    let place = tempfile::tempdir().unwrap();
    furnish(place.path());
    let killed = kill_at(step, work, place.path());
    (place, killed)
}

fn kill_at(step: u32, work: &str, place: &Path) -> bool {
    let program: PathBuf = std::env::current_exe().unwrap();
    let mut child = Command::new(program);
    child.args(["--exact", "store::mbox::tests::child"]).env("BUZON_PLACE", place);
    child.env("BUZON_WORK", work).env("BUZON_KILL_AT", step.to_string());
    !child.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

fn ours(place: &Path) {
    (0..LETTERS).for_each(|number| deliver(place, number));
}

fn mixed(place: &Path) {
    deliver(place, 0);
    (1..LETTERS - 1).for_each(|number| append_as_others_do(place, number));
    deliver(place, LETTERS - 1);
}

/// Numbers, but no room for more.
fn numbered(place: &Path) {
    others(place);
    drop(open(place));
    let mbox = std::fs::read_to_string(place.join("alice")).unwrap();
    let lines = mbox.split_inclusive('\n').filter(|line| !line.starts_with("X-Keywords"));
    std::fs::write(place.join("alice"), lines.collect::<String>()).unwrap();
}

fn others(place: &Path) {
    (0..LETTERS).for_each(|number| append_as_others_do(place, number));
}

/// A delivery comes between the kill and the next session, or does not.
fn each_step(work: &str, furnish: fn(&Path), stay: &[usize], go: &[usize]) {
    let all = expected(&[stay, go].concat());
    for delivery in [false, true] {
        for step in 0.. {
            assert!(step < 300, "{work} comes to no end");
            let (place, killed) = killed_at(step, work, furnish);
            let place = place.path();
            let told = format!("{work} killed at {step}, then a delivery: {delivery}");
            // Without room for a copy a letter is cut for that moment.
            let lying = if work == FULL { expected(stay) } else { raw(place) };
            for letter in expected(stay) {
                assert!(lying.contains(&letter), "{told}: {lying:#?}");
            }
            let foreign = lying.iter().filter(|letter| !all.contains(letter)).count();
            assert!(foreign <= 1, "{told}: {lying:#?}");
            // What was to go is there, or not; killed while it slides, perhaps some of it.
            let mut sets: Vec<Vec<usize>> = vec![stay.to_vec(), [stay, go].concat()];
            if work == FULL {
                sets.extend((1..go.len()).map(|from| [stay, &go[from..]].concat()));
            }
            sets.iter_mut().for_each(|set| set.sort_unstable());
            if delivery {
                deliver(place, 9);
                sets.iter_mut().for_each(|set| set.push(9));
            }
            let mut view = open(place);
            let found = letters(&mut view);
            assert!(sets.iter().any(|set| found == expected(set)), "{told}: {found:#?}");
            let done = &sets[usize::from(["append", "take in"].contains(&work))];
            assert!(killed || found == expected(done), "{told}: {found:#?}");
            assert_eq!(std::fs::read_dir(place).unwrap().count(), 2, "{told}");
            let uids: Vec<u32> = view.messages().iter().map(|message| message.uid).collect();
            assert!(uids.is_sorted_by(|a, b| a < b), "{told}: {uids:?}");
            drop(view);
            let again: Vec<u32> =
                open(place).messages().iter().map(|message| message.uid).collect();
            assert_eq!(uids, again, "{told}");
            if !killed {
                assert!(step > 2, "{work} has {step} steps");
                break;
            }
        }
    }
}

#[test]
fn a_letter_comes_in() {
    each_step("append", others, &[0, 1, 2, 3, 4, 5], &[6]);
}

#[test]
fn letters_come_in_all_or_none() {
    each_step("take in", ours, &[0, 1, 2, 3, 4, 5], &[6, 7, 8]);
    each_step("take in", others, &[0, 1, 2, 3, 4, 5], &[6, 7, 8]);
    each_step("take in", |_| {}, &[], &[6, 7, 8]);
}

#[test]
fn numbers_are_written() {
    each_step("number", others, &[0, 1, 2, 3, 4, 5], &[]);
    each_step("number", ours, &[0, 1, 2, 3, 4, 5], &[]);
}

#[test]
fn messages_are_removed() {
    each_step("remove", ours, &[1, 4, 5], &[0, 2, 3]);
    each_step("remove", mixed, &[1, 4, 5], &[0, 2, 3]);
    each_step(FULL, ours, &[2, 4, 5], &[0, 1, 3]);
    each_step(FULL, numbered, &[2, 4, 5], &[0, 1, 3]);
    each_step("remove-last", mixed, &[0, 1, 2, 3], &[4, 5]);
}

/// Whoever finishes the work of the dead may be killed at it too.
#[test]
fn a_repair_is_killed() {
    for (first, second) in (0..24).step_by(3).flat_map(|first| (0..7).map(move |n| (first, n))) {
        for (work, stay) in [("remove", [1, 4, 5]), (FULL, [2, 4, 5])] {
            let (place, _) = killed_at(first, work, ours);
            let next = if second % 2 == 0 { "number" } else { "append" };
            kill_at(second, next, place.path());
            let found = letters(&mut open(place.path()));
            let told =
                format!("{work} killed at {first}, then, at {next}, at {second}: {found:#?}");
            let all = expected(&[0, 1, 2, 3, 4, 5, LETTERS]);
            let known = found.iter().map(|letter| all.iter().position(|one| one == letter));
            let known: Vec<usize> = known.map(|at| at.expect(&told)).collect();
            assert!(known.is_sorted_by(|a, b| a < b), "{told}");
            assert!(stay.iter().all(|number| known.contains(number)), "{told}");
        }
    }
}
