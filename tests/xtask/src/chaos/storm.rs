//! The disturbed run: injects faults and restarts processes until the campaign has ended.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::ChaosOptions;
use super::cluster::{Cluster, EXIT_TIMEOUT, Who};
use super::faults::{Drawn, Fault, Faults};
use super::place::Place;

/// A run that takes longer is taken to hang.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Interval between looks at the campaign's progress.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Time after which a worker whose training was to hang is taken to have nothing to train.
const HANG_TIMEOUT: Duration = Duration::from_secs(20);

/// Time that a worker has to exit, once nothing makes its training hang any more, if it noticed that it hung: it leaves
/// within its grace period.
const HANG_AFTERMATH: Duration = Duration::from_secs(15);

/// Time between two signals, so that the first is handled before the second arrives.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(20);

/// A fault that was injected.
#[derive(Debug)]
pub(super) struct Injected {
    pub(super) fault: Fault,
    pub(super) at: Instant,
    /// When the process was running again.
    pub(super) back: Instant,
    /// The stage that the worker held.
    pub(super) held: Option<String>,
    /// Whether it had no effect: a training that hangs is noticed only where something is to be trained.
    pub(super) fizzled: bool,
}

/// A disturbed run.
pub(super) struct Storm<'a> {
    pub(super) cluster: Cluster<'a>,
    place: &'a Place,
    pub(super) injected: Vec<Injected>,
    /// Processes that exited unexpectedly or with the wrong status, a sentence each.
    pub(super) wrong_ends: Vec<String>,
    /// Number of times that fewer stages were done than at the time before.
    pub(super) stages_undone: u32,
    stages_done: u64,
    pub(super) took: Duration,
}

/// A process that is away.
struct Away {
    who: Who,
    /// Duration of the absence, from its exit or from the signal that stopped it.
    time: Duration,
    /// When the absence ends; `None` while the process is still exiting.
    until: Option<Instant>,
    /// Index of the fault that caused it.
    fault: usize,
}

/// Disturbs the campaign until enough processes have exited, then lets it finish. A campaign that finishes earlier,
/// because the machine is fast or the faults came late, gets another seed: nothing depends on the machine's speed.
pub(super) fn run(place: &Place, options: ChaosOptions, between: Duration) -> Result<Storm<'_>> {
    let cluster = Cluster::start(place, options.workers)?;
    place.submit()?;
    let mut storm = Storm {
        cluster,
        place,
        injected: Vec::new(),
        wrong_ends: Vec::new(),
        stages_undone: 0,
        stages_done: 0,
        took: Duration::ZERO,
    };
    let started = Instant::now();
    let mut faults = Faults::new(options.seed, options.workers, between);
    let mut next = faults.next();
    let mut due = started + next.map_or(Duration::ZERO, |drawn| drawn.after);
    let mut away: Vec<Away> = Vec::new();
    let mut look = started + BETWEEN_LOOKS;
    let mut has_ended = false;
    loop {
        let now = Instant::now();
        if now > started + LONGEST {
            bail!("the campaign has not ended after {} s of faults and waiting", LONGEST.as_secs());
        }
        storm.bring_back(&mut away, now)?;
        storm.record_unasked_exits(&away);
        if let Some(drawn) = next
            && now >= due
        {
            away.extend(storm.inject(drawn, &away)?);
            let enough = storm.kills() >= options.kills;
            next = if enough { None } else { faults.next() };
            due = Instant::now() + next.map_or(Duration::ZERO, |drawn| drawn.after);
        }
        // Skip a coordinator that is away or stopped: asking it would block until the client times out.
        if now >= look && away.iter().all(|gone| gone.who != Who::Coordinator) {
            has_ended = storm.look();
            look = Instant::now() + BETWEEN_LOOKS;
        }
        if has_ended && away.is_empty() {
            if next.is_none() {
                break;
            }
            place.enlarge()?;
            has_ended = false;
        }
        sleep(Duration::from_millis(5));
    }
    storm.took = started.elapsed();
    Ok(storm)
}

impl Storm<'_> {
    /// Number of process exits so far.
    pub(super) fn kills(&self) -> u32 {
        u32::try_from(self.injected.iter().filter(|injected| injected.fault.kills() && !injected.fizzled).count())
            .unwrap_or(u32::MAX)
    }

    /// Injects a fault, unless its process is away already.
    fn inject(&mut self, drawn: Drawn, away: &[Away]) -> Result<Option<Away>> {
        let Drawn { fault, worker, away: time, .. } = drawn;
        let who = if fault.is_of_coordinator() { Who::Coordinator } else { Who::Worker(worker) };
        if away.iter().any(|away| away.who == who) {
            return Ok(None);
        }
        let held = if fault.is_of_coordinator() { None } else { self.cluster.log.held_by(&Cluster::name(worker)) };
        let at = Instant::now();
        for (index, signal) in fault.signals().iter().enumerate() {
            if index > 0 {
                sleep(BETWEEN_SIGNALS);
            }
            self.cluster.signal(who, signal);
        }
        if fault == Fault::HangWorker {
            self.cluster.hang(worker, true)?;
        }
        let until = if fault.kills() { None } else { Some(at + time) };
        self.injected.push(Injected { fault, at, back: at, held, fizzled: false });
        Ok(Some(Away { who, time, until, fault: self.injected.len() - 1 }))
    }

    /// Brings processes back whose time is up. One that is still exiting is polled again later, while others are
    /// disturbed.
    fn bring_back(&mut self, away: &mut Vec<Away>, now: Instant) -> Result<()> {
        for gone in away.iter_mut().filter(|gone| gone.until.is_none()) {
            let injected = &mut self.injected[gone.fault];
            if let Some(status) = self.cluster.reap(gone.who)? {
                gone.until = Some(now + gone.time);
                // SIGKILL alone leaves no exit code.
                if status.code() != injected.fault.exit_code() {
                    let said = self.cluster.last_words(gone.who);
                    let fault = injected.fault.name();
                    self.wrong_ends.push(format!("{fault}: exited with {status}; the end of its log:{said}"));
                }
            } else if let (Fault::HangWorker, Who::Worker(worker)) = (injected.fault, gone.who)
                && now > injected.at + HANG_TIMEOUT
            {
                self.cluster.hang(worker, false)?;
                // Unless it is on its way out, it had nothing to train meanwhile.
                if now > injected.at + HANG_TIMEOUT + HANG_AFTERMATH {
                    injected.fizzled = true;
                    gone.until = Some(now);
                }
            } else if now > injected.at + EXIT_TIMEOUT {
                bail!("{}: the process does not exit", injected.fault.name());
            }
        }
        for Away { who, fault, .. } in away.extract_if(.., |gone| gone.until.is_some_and(|until| until <= now)) {
            let injected = &mut self.injected[fault];
            if let (Fault::HangWorker, Who::Worker(worker)) = (injected.fault, who) {
                self.cluster.hang(worker, false)?;
            }
            if injected.fault.kills() {
                self.cluster.bring_back(who)?;
            } else {
                self.cluster.signal(who, "CONT");
            }
            injected.back = Instant::now();
        }
        Ok(())
    }

    /// Records processes that exited unasked, and restarts them so that the run continues.
    fn record_unasked_exits(&mut self, away: &[Away]) {
        let is_away = |who| away.iter().any(|away| away.who == who);
        while let Some((who, status)) = self.cluster.exited_unasked(is_away) {
            let said = self.cluster.last_words(who);
            self.wrong_ends.push(format!("{who:?} exited unasked, with {status}; the end of its log:{said}"));
            if let Err(error) = self.cluster.bring_back(who) {
                self.wrong_ends.push(format!("{who:?}: {error:#}"));
            }
        }
    }

    /// Polls the campaign's progress; returns whether it has ended.
    fn look(&mut self) -> bool {
        let Some((done, ended)) = self.place.standing() else { return false };
        self.stages_undone += u32::from(done < self.stages_done);
        self.stages_done = done;
        ended
    }
}
