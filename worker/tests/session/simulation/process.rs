//! What a session has at its orders: preparation, a training thread, and a storage that takes its time.

use std::collections::VecDeque;

use vocabulary::Measurements;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use worker::AttemptKey;
use worker::checkpoint::CheckpointRef;
use worker::runner::{Ended, Report, Stop};
use worker::session::{Event, Lost, Unprepared};
use worker::training::StepReport;

use crate::story::STEPS;

/// What training does next, if nobody stops it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Progress {
    Step,
    /// One more checkpoint than there has to be.
    Checkpoint,
    Diverge,
    Fail,
}

#[derive(Debug)]
struct Training {
    key: AttemptKey,
    step: u64,
    stop: Option<Stop>,
}

#[derive(Default)]
pub(crate) struct Process {
    preparing: Option<AttemptKey>,
    training: Option<Training>,
    /// What the training thread has said, and the session has not heard.
    reports: VecDeque<Report>,
    /// Checkpoints on their way, in order.
    storing: VecDeque<(AttemptKey, u64)>,
}

impl Process {
    /// What is being prepared or trained, or has just ended.
    pub(crate) fn busy_with(&self) -> Option<AttemptKey> {
        let ended = self.reports.iter().find_map(|report| match report {
            Report::Ended { key, .. } => Some(*key),
            Report::Points { .. } | Report::Checkpoint { .. } => None,
        });
        self.preparing.or_else(|| self.training.as_ref().map(|training| training.key)).or(ended)
    }

    pub(crate) fn prepare(&mut self, key: AttemptKey) {
        self.preparing = Some(key);
    }

    /// The end of a preparation. One that succeeds is training, and the session hears of it only by what training says.
    pub(crate) fn prepared(&mut self, succeeds: bool) -> Option<Event> {
        let key = self.preparing.take()?;
        if !succeeds {
            return Some(Event::NotPrepared { key, why: Unprepared::Failed { reason: "no data".to_owned() } });
        }
        self.training = Some(Training { key, step: 0, stop: None });
        None
    }

    /// Stops an attempt. A preparation ends at once, training after its step.
    pub(crate) fn stop(&mut self, key: AttemptKey, stop: Stop) -> Option<Event> {
        if self.preparing.take_if(|preparing| *preparing == key).is_some() {
            return Some(Event::PreparationStopped { key });
        }
        if let Some(training) = self.training.as_mut().filter(|training| training.key == key)
            && training.stop != Some(Stop::Abandon)
        {
            training.stop = Some(stop);
        }
        None
    }

    pub(crate) fn train(&mut self, progress: Progress) {
        let Some(Training { key, step, stop }) = &mut self.training else { return };
        let (key, done) = (*key, *step);
        match (stop, progress) {
            (Some(Stop::Abandon), _) => self.end(key, Ended::Stopped),
            (Some(Stop::Release), _) => {
                if done > 0 {
                    self.checkpoint(key, done);
                }
                self.end(key, Ended::Released);
            }
            (None, Progress::Step) if done < STEPS => {
                *step += 1;
                self.point(key, done, 3.0);
                if done + 1 == STEPS {
                    self.checkpoint(key, STEPS);
                }
            }
            (None, Progress::Step) => {
                let result = Measurements::new().with(VALIDATION_LOSS, 3.0).with(VALIDATION_LOSS_PER_BYTE, 1.0);
                self.end(key, Ended::Completed { step: STEPS, result: result.into() });
            }
            (None, Progress::Checkpoint) if (1..STEPS).contains(&done) => self.checkpoint(key, done),
            (None, Progress::Checkpoint) => {}
            (None, Progress::Diverge) if done < STEPS => {
                self.point(key, done, f64::INFINITY);
                self.end(key, Ended::Diverged { step: done, loss: f64::INFINITY });
            }
            (None, Progress::Diverge) => {}
            (None, Progress::Fail) => {
                self.end(key, Ended::Failed { reason: "no memory".to_owned(), started: true });
            }
        }
    }

    fn point(&mut self, key: AttemptKey, step: u64, loss: f64) {
        let measurements = Measurements::new();
        let points = vec![StepReport { step, loss, grad_norm: 1.0, learning_rate: 0.01, tokens: 1024, measurements }];
        self.reports.push_back(Report::Points { key, points, tokens_per_second: 1e5 });
    }

    fn checkpoint(&mut self, key: AttemptKey, step: u64) {
        self.reports.push_back(Report::Checkpoint { key, step, blobs: Box::new(|| Ok(Vec::new())) });
    }

    fn end(&mut self, key: AttemptKey, ended: Ended) {
        self.training = None;
        self.reports.push_back(Report::Ended { key, ended });
    }

    pub(crate) fn next_report(&mut self) -> Option<Event> {
        self.reports.pop_front().map(Event::Reported)
    }

    pub(crate) fn store(&mut self, key: AttemptKey, step: u64) {
        self.storing.push_back((key, step));
    }

    /// The oldest checkpoint on its way arrives, or is lost.
    pub(crate) fn settle(&mut self, succeeds: bool) -> Option<Event> {
        let (key, step) = self.storing.pop_front()?;
        if !succeeds {
            return Some(Event::CheckpointLost { key, step, why: Lost::NotStored { reason: "disk full".to_owned() } });
        }
        let manifest_path = proto::layout::manifest_path(key, step);
        let manifest_hash = blake3::hash(manifest_path.as_bytes());
        Some(Event::CheckpointStored {
            key,
            checkpoint: CheckpointRef { stage: key.stage, step, manifest_path, manifest_hash },
        })
    }

    /// Whether nothing trains, and nothing is to be heard of what did. A checkpoint may be on its way that nobody wants.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy_with().is_none() && self.reports.is_empty()
    }
}
