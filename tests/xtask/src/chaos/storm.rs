//! The disturbed run: faults at their moments, processes that come back, until the campaign has ended.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::ChaosOptions;
use super::cluster::{Cluster, PATIENCE, Who};
use super::faults::{Drawn, Fault, Faults};
use super::place::Place;

/// A run that is not over by then will not be.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How often the campaign is asked after.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How long a second signal waits for the first one to be taken in.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(20);

/// A fault that befell a process.
#[derive(Debug)]
pub(super) struct Befallen {
    pub(super) fault: Fault,
    pub(super) at: Instant,
    /// When the process was there again.
    pub(super) back: Instant,
    /// The stage that the worker had in hand.
    pub(super) held: Option<String>,
}

/// A disturbed run.
pub(super) struct Storm<'a> {
    pub(super) cluster: Cluster<'a>,
    place: &'a Place,
    pub(super) befallen: Vec<Befallen>,
    /// Processes that ended in a way they should not.
    pub(super) wrong_ends: Vec<String>,
    /// Looks at which fewer stages were done than before.
    pub(super) stages_undone: u32,
    stages_done: u64,
    pub(super) took: Duration,
}

/// A process that is away.
struct Away {
    who: Who,
    /// How long, from its end on or from the signal that stopped it.
    time: Duration,
    /// When that is over; `None` while it still ends.
    until: Option<Instant>,
    /// The index of what befell it.
    fault: usize,
}

/// Disturbs the campaign until enough processes have been ended, then lets it finish. A campaign that finishes before, because the
/// machine is fast or the faults came late, gets another seed: nothing depends on how fast it trains.
pub(super) fn run(place: &Place, options: ChaosOptions, between: Duration) -> Result<Storm<'_>> {
    let cluster = Cluster::start(place, options.workers)?;
    place.submit()?;
    let mut storm = Storm {
        cluster,
        place,
        befallen: Vec::new(),
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
        storm.note_ends_nobody_asked_for(&away);
        if let Some(drawn) = next
            && now >= due
        {
            away.extend(storm.befall(drawn, &away));
            let enough = storm.kills() >= options.kills;
            next = if enough { None } else { faults.next() };
            due = Instant::now() + next.map_or(Duration::ZERO, |drawn| drawn.after);
        }
        // A coordinator that is away, or stopped, is not asked: that would take until the caller gives up.
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
    /// Ends of processes so far.
    pub(super) fn kills(&self) -> u32 {
        u32::try_from(self.befallen.iter().filter(|befallen| befallen.fault.kills()).count()).unwrap_or(u32::MAX)
    }

    /// Does to a process what was drawn, unless it is away.
    fn befall(&mut self, drawn: Drawn, away: &[Away]) -> Option<Away> {
        let Drawn { fault, worker, away: time, .. } = drawn;
        let who = if fault.is_of_coordinator() { Who::Coordinator } else { Who::Worker(worker) };
        if away.iter().any(|away| away.who == who) {
            return None;
        }
        let held = if fault.is_of_coordinator() { None } else { self.cluster.log.held_by(&Cluster::name(worker)) };
        let at = Instant::now();
        for (index, signal) in fault.signals().iter().enumerate() {
            if index > 0 {
                sleep(BETWEEN_SIGNALS);
            }
            self.cluster.signal(who, signal);
        }
        let until = if fault.kills() { None } else { Some(at + time) };
        self.befallen.push(Befallen { fault, at, back: at, held });
        Some(Away { who, time, until, fault: self.befallen.len() - 1 })
    }

    /// Brings back whose time is over. A process that still ends is waited for meanwhile: others go on, and fall.
    fn bring_back(&mut self, away: &mut Vec<Away>, now: Instant) -> Result<()> {
        for gone in away.iter_mut().filter(|gone| gone.until.is_none()) {
            let befallen = &self.befallen[gone.fault];
            if let Some(status) = self.cluster.reap(gone.who)? {
                gone.until = Some(now + gone.time);
                // SIGKILL alone leaves no code.
                if status.code() != befallen.fault.exit_code() {
                    self.wrong_ends.push(format!("{}: it ended with {status}", befallen.fault.name()));
                }
            } else if now > befallen.at + PATIENCE {
                bail!("{}: the process does not end", befallen.fault.name());
            }
        }
        for Away { who, fault, .. } in away.extract_if(.., |gone| gone.until.is_some_and(|until| until <= now)) {
            let befallen = &mut self.befallen[fault];
            if befallen.fault.kills() {
                self.cluster.bring_back(who)?;
            } else {
                self.cluster.signal(who, "CONT");
            }
            befallen.back = Instant::now();
        }
        Ok(())
    }

    /// A process that ends by itself is a fault of its own; it is started again, so that the rest is seen.
    fn note_ends_nobody_asked_for(&mut self, away: &[Away]) {
        let is_away = |who| away.iter().any(|away| away.who == who);
        while let Some((who, status)) = self.cluster.ended_by_itself(is_away) {
            self.wrong_ends.push(format!("{who:?} ended by itself, with {status}"));
            if let Err(error) = self.cluster.bring_back(who) {
                self.wrong_ends.push(format!("{who:?}: {error:#}"));
            }
        }
    }

    /// Looks how far the campaign is; whether it has ended.
    fn look(&mut self) -> bool {
        let Some((done, ended)) = self.place.standing() else { return false };
        self.stages_undone += u32::from(done < self.stages_done);
        self.stages_done = done;
        ended
    }
}
