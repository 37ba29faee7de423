//! What was said, for a report and for who watches: secrets masked, the text told by its size.
//!
//! It is bounded: of a long dialogue the first and the last lines are kept. What was said of one
//! letter is forgotten with the next, as the next one's sender must not read it.

use crate::limits;
use std::collections::VecDeque;

/// Who is told each line as it happens.
pub type Watch = Box<dyn FnMut(&str) + Send>;

/// The lines so far.
#[derive(Default)]
pub(super) struct Dialogue {
    /// Until the first letter: greeting, EHLO, TLS, AUTH.
    opening: Vec<String>,
    /// Of the last letter: its first lines,
    first: Vec<String>,
    /// how many were left out behind them,
    left_out: usize,
    /// and its last ones.
    last: VecDeque<String>,
    is_open: bool,
    watch: Option<Watch>,
}

impl Dialogue {
    pub fn new(watch: Option<Watch>) -> Dialogue {
        Dialogue { watch, ..Dialogue::default() }
    }

    /// What we said.
    pub fn client(&mut self, line: &str) {
        self.add(format!("C: {line}"));
    }

    /// What the other side said.
    pub fn server(&mut self, line: String) {
        self.add(format!("S: {line}"));
    }

    /// What happened beside it.
    pub fn event(&mut self, text: &str) {
        self.add(format!("-- {text}"));
    }

    /// A letter begins.
    pub fn letter(&mut self) {
        self.is_open = true;
        self.first.clear();
        self.last.clear();
        self.left_out = 0;
    }

    /// All that is kept.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = [&self.opening[..], &self.first].concat();
        if self.left_out > 0 {
            lines.push(format!("-- ({} lines are left out)", self.left_out));
        }
        lines.extend(self.last.iter().cloned());
        lines
    }

    fn add(&mut self, mut line: String) {
        line.truncate(line.floor_char_boundary(limits::DIALOGUE_LINE));
        if let Some(watch) = &mut self.watch {
            watch(&line);
        }
        let half = limits::DIALOGUE / 2;
        match self.is_open {
            false if self.opening.len() < limits::DIALOGUE => self.opening.push(line),
            true if self.first.len() < half => self.first.push(line),
            _ => {
                self.last.push_back(line);
                if self.last.len() > half {
                    self.last.pop_front();
                    self.left_out += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_dialogues_lose_their_middle() {
        let mut dialogue = Dialogue::new(None);
        dialogue.event("connected");
        dialogue.letter();
        (0..10_000).for_each(|number| dialogue.client(&number.to_string()));
        let lines = dialogue.lines();
        assert_eq!(lines.len(), limits::DIALOGUE + 2);
        assert_eq!((&*lines[0], &*lines[1]), ("-- connected", "C: 0"));
        assert_eq!(lines.last().unwrap(), "C: 9999");
        assert_eq!(lines[101], format!("-- ({} lines are left out)", 10_000 - limits::DIALOGUE));
        dialogue.letter();
        assert_eq!(dialogue.lines(), ["-- connected"]);
    }
}
