//! One letter: RFC 5321 §3.3, RFC 2920 (pipelining), RFC 2033 (LMTP).
//!
//! Each recipient gets the answer that decides about it: its own to RCPT if that was negative, the
//! one to MAIL or DATA where that was, else the one to the final dot.

use super::answer::{Answer, Step, Verdict};
use super::failure::Failure;
use super::letter::Letter;
use super::{Connection, Sent};
use crate::limits;
use crate::mail::Plan;
use std::collections::VecDeque;
use std::io::{Read, Seek};

/// A letter under way.
struct Round<'a> {
    letter: &'a Letter<'a>,
    /// For each recipient the last word.
    answers: &'a mut [Option<Answer>],
    /// Commands whose replies have not come; of RCPT with the recipient's place.
    waiting: VecDeque<(Step, usize)>,
    mail: Option<Answer>,
    data: Option<Answer>,
    /// Recipients that RCPT accepted.
    accepted: Vec<usize>,
}

impl Connection {
    pub(super) fn transact<R: Read + Seek>(&mut self, letter: &Letter, content: &mut R) -> Sent {
        self.talk.dialogue.letter();
        let mut answers = vec![None; letter.recipients.len()];
        let failure = match self.lost.clone() {
            Some(failure) => Some(failure),
            None => self.try_to(letter, content, &mut answers).err(),
        };
        self.lost = self.lost.take().or_else(|| failure.clone());
        let instead = failure.as_ref().map(Failure::answer).unwrap_or_else(|| {
            Answer::made_up(451, "4.5.0", Step::End, "there was no answer for this recipient")
        });
        let answers =
            answers.into_iter().map(|answer| answer.unwrap_or_else(|| instead.clone())).collect();
        Sent { answers, failure }
    }

    fn try_to<R: Read + Seek>(
        &mut self,
        letter: &Letter,
        content: &mut R,
        answers: &mut [Option<Answer>],
    ) -> Result<(), Failure> {
        let plan = match letter.refused(&self.offers) {
            Some(answer) => Err(answer),
            None => self.plan(letter, content)?,
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(answer) => {
                answers.fill(Some(answer));
                return Ok(());
            }
        };
        for (answer, recipient) in answers.iter_mut().zip(letter.recipients) {
            *answer = recipient.refused(&self.offers);
        }
        if answers.iter().all(Option::is_some) {
            return Ok(());
        }
        let (waiting, accepted) = (VecDeque::new(), Vec::new());
        let mut round = Round { letter, answers, waiting, mail: None, data: None, accepted };
        self.envelope(&mut round)?;
        match round.data.take() {
            Some(answer) if answer.code / 100 == 3 && round.accepted.is_empty() => self.lone_dot(),
            Some(answer) if answer.code / 100 == 3 => {
                self.text(content, plan.as_ref())?;
                self.end(&mut round)
            }
            Some(answer) if answer.verdict() == Verdict::Accepted => {
                Err(Failure::Garbage(Step::Data, answer.to_string()))
            }
            Some(answer) => {
                self.needs_reset = true;
                for at in round.accepted {
                    round.answers[at] = Some(answer.clone());
                }
                Ok(())
            }
            None => {
                self.needs_reset = true;
                Ok(())
            }
        }
    }

    /// What must be changed of the content, or why that cannot be.
    fn plan<R: Read + Seek>(
        &mut self,
        letter: &Letter,
        content: &mut R,
    ) -> Result<Result<Option<Plan>, Answer>, Failure> {
        let seven = letter.survey.eight_bit && !self.offers.eight_bit;
        if !seven && !letter.survey.needs_folding {
            return Ok(Ok(None));
        }
        let plan = super::text::plan(content, seven).map_err(|error| {
            let failure = Failure::Content(error.to_string());
            self.talk.dialogue.event(&failure.to_string());
            failure
        })?;
        if plan.is_impossible() {
            // RFC 3463 §3.7: conversion required but not supported.
            let text = "the letter is signed or coded and cannot be changed, \
                        and the host does not take it as it is";
            return Ok(Err(Answer::made_up(554, "5.6.3", Step::Mail, text)));
        }
        Ok(Ok(Some(plan)))
    }

    /// MAIL, RCPT and DATA: RFC 2920 §3.1 says which may follow one another at once.
    fn envelope(&mut self, round: &mut Round) -> Result<(), Failure> {
        if std::mem::take(&mut self.needs_reset) {
            self.command(Step::Reset, 0, "RSET", round)?;
        }
        let mail = round.letter.mail(&self.offers);
        self.command(Step::Mail, 0, &mail, round)?;
        for (at, recipient) in round.letter.recipients.iter().enumerate() {
            if round.answers[at].is_none() && !round.is_over() {
                let rcpt = recipient.rcpt(&self.offers);
                self.command(Step::Rcpt, at, &rcpt, round)?;
            }
        }
        if !round.waiting.is_empty() || !round.accepted.is_empty() {
            self.command(Step::Data, 0, "DATA", round)?;
        }
        self.collect(round)
    }

    /// Says a command, and waits for the replies where there is no pipelining, or enough under way.
    fn command(
        &mut self,
        step: Step,
        at: usize,
        line: &str,
        round: &mut Round,
    ) -> Result<(), Failure> {
        self.talk.say(step, line, None)?;
        round.waiting.push_back((step, at));
        match self.offers.pipelining && self.talk.client.unsent() < limits::PIPELINE {
            true => Ok(()),
            false => self.collect(round),
        }
    }

    /// Sends what is to be sent and reads all replies, in the order of the commands.
    fn collect(&mut self, round: &mut Round) -> Result<(), Failure> {
        if let Some((step, _)) = round.waiting.front() {
            self.talk.flush(*step)?;
        }
        while let Some((step, at)) = round.waiting.pop_front() {
            let answer = self.talk.read(step)?;
            round.take(step, at, answer)?;
        }
        Ok(())
    }

    /// RFC 2920 §3.1: DATA was taken and nobody is there to have it.
    fn lone_dot(&mut self) -> Result<(), Failure> {
        self.finish()?;
        if self.lmtp {
            // RFC 2033 §4.2: as many replies as recipients, so nobody knows what comes next.
            self.lost = Some(Failure::Cut(Step::Data));
            return Ok(());
        }
        self.needs_reset = true;
        self.talk.read(Step::End).map(drop)
    }

    fn end(&mut self, round: &mut Round) -> Result<(), Failure> {
        let accepted = std::mem::take(&mut round.accepted);
        if self.lmtp {
            for at in accepted {
                round.answers[at] = Some(self.talk.read(Step::End)?);
            }
            return Ok(());
        }
        let answer = self.talk.read(Step::End)?;
        self.needs_reset = answer.verdict() != Verdict::Accepted;
        for at in accepted {
            round.answers[at] = Some(answer.clone());
        }
        Ok(())
    }
}

impl Round<'_> {
    /// Whether MAIL was refused, so that there is no use in RCPT.
    fn is_over(&self) -> bool {
        self.mail.as_ref().is_some_and(|answer| answer.verdict() != Verdict::Accepted)
    }

    fn take(&mut self, step: Step, at: usize, answer: Answer) -> Result<(), Failure> {
        let is_accepted = answer.verdict() == Verdict::Accepted;
        match step {
            Step::Reset if !is_accepted => return Err(Failure::Refused(answer)),
            Step::Mail => {
                if !is_accepted {
                    self.answers.iter_mut().for_each(|other| {
                        other.get_or_insert_with(|| answer.clone());
                    });
                }
                self.mail = Some(answer);
            }
            Step::Rcpt if self.is_over() => {}
            Step::Rcpt if is_accepted => self.accepted.push(at),
            Step::Rcpt => self.answers[at] = Some(answer),
            Step::Data => self.data = Some(answer),
            _ => {}
        }
        Ok(())
    }
}
