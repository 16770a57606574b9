//! Finding the coordinator a command speaks with, or starting one.

use std::path::Path;

use anyhow::{Context, anyhow};
use client::{Campaigns, Destination};
use coordinator::{Coordinator, CoordinatorOptions, Handle, LockError, StartError};
use dial::Credentials;
use worker::Storage;

use super::data_dir::data_dir;
use crate::args::{CoordinatorArgs, Global};
use crate::exit::{BadInput, bad_input};

/// The address of the coordinator that is asked for, or else of the one that serves the data directory, and what to
/// show it.
pub(crate) fn find(args: &CoordinatorArgs, data_dir: &Path) -> anyhow::Result<Option<(String, Credentials)>> {
    let mut credentials = args.credentials.read()?;
    if let Some(url) = &args.coordinator {
        return Ok(Some((url.clone(), credentials)));
    }
    let Some(live) = coordinator::locate(data_dir) else { return Ok(None) };
    if !live.is_here() {
        let (dir, machine) = (data_dir.display(), live.machine);
        return Err(bad_input(anyhow!("the coordinator of {dir} runs on {machine}: give --coordinator URL")));
    }
    if credentials.token.is_none() {
        credentials.token = coordinator::local_token(data_dir);
    }
    Ok(Some((live.url, credentials)))
}

/// A coordinator that is reached, and the one inside this process if that is it.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) campaigns: Campaigns,
    own: Option<Handle>,
}

impl Reached {
    /// Whether the coordinator runs inside this process.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The coordinator inside this process.
    pub(crate) fn own(&self) -> Option<&Handle> {
        self.own.as_ref()
    }

    /// Ends the coordinator inside this process, with its workers.
    pub(crate) async fn leave(self) {
        if let Some(handle) = self.own {
            handle.shutdown().await;
        }
    }
}

/// The coordinator that is asked for, or else the one that serves the data directory.
pub(crate) async fn reach(args: &CoordinatorArgs, data_dir: &Path) -> anyhow::Result<Option<Reached>> {
    let Some((url, credentials)) = find(args, data_dir)? else { return Ok(None) };
    Ok(Some(Reached { campaigns: Campaigns::connect(&url, &credentials).await?, own: None }))
}

/// A coordinator inside this process.
pub(crate) async fn embedded(options: CoordinatorOptions) -> anyhow::Result<Reached> {
    let own = match Coordinator::start(options).await {
        Ok(own) => own,
        Err(error) => {
            // The others say that something is wrong with this machine, not with what was asked for.
            let can_be_mended = matches!(
                error,
                StartError::NotLoopback { .. }
                    | StartError::Tls(_)
                    | StartError::DataDir { .. }
                    | StartError::Lock(_)
                    | StartError::Listen { .. }
            );
            let error = anyhow::Error::new(error);
            return Err(if can_be_mended { bad_input(error) } else { error });
        }
    };
    let campaigns = Campaigns::connect(own.url(), &own.credentials()).await?;
    Ok(Reached { campaigns, own: Some(own) })
}

/// Whether another coordinator has the data directory, which may be one that is just starting or ending.
pub(crate) fn is_taken(error: &anyhow::Error) -> bool {
    let start = error.downcast_ref::<BadInput>().and_then(BadInput::downcast_ref::<StartError>);
    matches!(start, Some(StartError::Lock(LockError::Held { .. })))
}

/// The coordinator that is asked for or serves the data directory. Where none does, one without workers is started: what
/// is stored can be asked for at any time.
pub(crate) async fn reach_or_embed(args: &CoordinatorArgs, data_dir: &Path) -> anyhow::Result<Reached> {
    if let Some(reached) = reach(args, data_dir).await? {
        return Ok(reached);
    }
    if !data_dir.join("store.sqlite").is_file() {
        return Err(bad_input(anyhow!(
            "nothing is stored in {}, and no coordinator serves it: give --data-dir or --coordinator",
            data_dir.display()
        )));
    }
    embedded(CoordinatorOptions::new(data_dir)).await
}

/// Does something with the coordinator of [`reach_or_embed`].
pub(crate) fn with_coordinator<T>(
    global: &Global,
    args: &CoordinatorArgs,
    work: impl AsyncFnOnce(&mut Campaigns) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let data_dir = data_dir(global)?;
    crate::local::runtime()?.block_on(async {
        let mut reached = reach_or_embed(args, &data_dir).await?;
        let outcome = work(&mut reached.campaigns).await;
        reached.leave().await;
        outcome
    })
}

/// The storage of a coordinator, which has to be within reach of this machine.
pub(crate) async fn storage(campaigns: &mut Campaigns) -> anyhow::Result<Storage> {
    let url = campaigns.info().await?.storage;
    Storage::open(&url).context("cannot reach the coordinator's storage from here")
}

/// The same, as the place to bring data to.
pub(crate) async fn destination(campaigns: &mut Campaigns) -> anyhow::Result<Destination> {
    let url = campaigns.info().await?.storage;
    let storage = Storage::open(&url).context("cannot reach the coordinator's storage from here")?;
    Ok(Destination { url, store: storage.store().clone(), directory: storage.directory().map(Path::to_owned) })
}
