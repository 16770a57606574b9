//! Tasks that the coordinator cannot do without. One that panics ends the coordinator with the reason, rather than leaving it
//! half alive.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A task that panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task} panicked: {message}. This is a bug; nothing that was committed is lost")]
pub struct Panicked {
    /// What it did, for people.
    pub task: &'static str,
    /// What it panicked with.
    pub message: String,
}

impl Panicked {
    pub(crate) fn new(task: &'static str, payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self { task, message: message.unwrap_or_else(|| "no message".to_owned()) }
    }
}

/// Runs a future to its end or to its panic.
pub(crate) async fn caught<F: Future>(task: &'static str, future: F) -> Result<F::Output, Panicked> {
    let outcome = AssertUnwindSafe(future).catch_unwind().await;
    outcome.map_err(|payload| Panicked::new(task, payload.as_ref()))
}

/// Tells whoever runs the coordinator that a task has panicked. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Alarm(mpsc::UnboundedSender<Panicked>);

impl Alarm {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Panicked>) {
        let (raised, heard) = mpsc::unbounded_channel();
        (Self(raised), heard)
    }

    pub(crate) fn raise(&self, panicked: Panicked) {
        // A coordinator that is gone needs no alarm.
        let _ = self.0.send(panicked);
    }

    /// Spawns a task whose panic ends the coordinator.
    pub(crate) fn spawn(
        &self,
        task: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let alarm = self.clone();
        tokio::spawn(async move {
            if let Err(panicked) = caught(task, future).await {
                alarm.raise(panicked);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_heard_with_what_was_said() {
        let (alarm, mut heard) = Alarm::new();
        let count = 3;
        let _ = alarm.spawn("counting", async move { panic!("counted to {count}") }).await;
        let panicked = heard.recv().await.expect("it is raised");
        assert_eq!((panicked.task, panicked.message.as_str()), ("counting", "counted to 3"));
        let _ = alarm.spawn("resting", async {}).await;
        assert!(heard.try_recv().is_err(), "a task that ends says nothing");
    }
}
