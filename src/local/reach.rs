//! Finding a coordinator, or starting an embedded one.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, anyhow};
use client::{Campaigns, Destination, Upload, send_dataset, upload_dataset};
use coordinator::store::{Place, StoreError};
use coordinator::{Coordinator, CoordinatorOptions, Handle, LockError, StartError};
use corpus::Prepared;
use dial::{Credentials, RENDEZVOUS_SCHEME};
use proto::v1::Info;
use storage::StorageId;
use vocabulary::text::one_line;
use worker::Storage;

use super::coordinator_job::Folder;
use super::data_dir::data_dir;
use crate::args::{Asked, CoordinatorArgs, Global};
use crate::exit::{BadInput, OrBadInput, bad_input};
use crate::logging::say;
use crate::views::UploadDisplay;

/// Address and credentials of the requested coordinator, or else of the one serving the data directory.
pub(crate) fn find(args: &CoordinatorArgs, data_dir: &Path) -> anyhow::Result<Option<(String, Credentials)>> {
    let mut credentials = args.credentials.read()?;
    match args.asked().map_err(bad_input)? {
        Asked::AnnouncedIn(file) => {
            let file =
                std::path::absolute(file).with_context(|| format!("cannot find {}", file.display())).or_bad_input()?;
            return Ok(Some((format!("{RENDEZVOUS_SCHEME}{}", file.display()), credentials)));
        }
        Asked::At(url) => return Ok(Some((url.to_owned(), credentials))),
        Asked::Nowhere => {}
    }
    let Some(live) = coordinator::locate(data_dir) else { return Ok(None) };
    // A job of `submit --slurm`.
    let announced = Folder::of(data_dir).rendezvous();
    if !live.is_here() && announced.exists() {
        return Ok(Some((format!("{RENDEZVOUS_SCHEME}{}", announced.display()), credentials)));
    }
    if !live.is_here() {
        let (dir, machine) = (data_dir.display(), live.machine);
        return Err(bad_input(anyhow!("the coordinator of {dir} runs on {machine}: give --coordinator URL")));
    }
    // Its socket is the credential; a token in the environment is meant for another coordinator.
    if live.socket.is_some() {
        credentials.token = None;
    }
    Ok(Some((live.local_url(), credentials)))
}

/// A connection to a coordinator, which may be embedded in this process.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) campaigns: Campaigns,
    own: Option<Handle>,
}

impl Reached {
    /// A coordinator elsewhere.
    pub(crate) fn at(campaigns: Campaigns) -> Self {
        Self { campaigns, own: None }
    }

    /// Whether the coordinator is embedded.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The embedded coordinator, if any.
    pub(crate) fn own(&self) -> Option<&Handle> {
        self.own.as_ref()
    }

    /// Shuts down the embedded coordinator and its workers.
    pub(crate) async fn leave(self) {
        if let Some(handle) = self.own {
            handle.shutdown().await;
        }
    }
}

/// Connects to the requested coordinator, or else to the one serving the data directory.
pub(crate) async fn reach(args: &CoordinatorArgs, data_dir: &Path) -> anyhow::Result<Option<Reached>> {
    let Some((url, credentials)) = find(args, data_dir)? else { return Ok(None) };
    Ok(Some(Reached { campaigns: Campaigns::connect(&url, &credentials).await?, own: None }))
}

/// Starts an embedded coordinator.
pub(crate) async fn embedded(options: CoordinatorOptions) -> anyhow::Result<Reached> {
    let own = match Coordinator::start(options).await {
        Ok(own) => own,
        Err(error) => {
            // The other errors are about this machine, not the request.
            let can_be_mended = matches!(
                error,
                StartError::NotLoopback { .. }
                    | StartError::Tls(_)
                    | StartError::DataDir { .. }
                    | StartError::Lock(_)
                    | StartError::Led { .. }
                    | StartError::Storage(_)
                    | StartError::Listen { .. }
                    | StartError::Announce(_)
            );
            let error = anyhow::Error::new(error);
            return Err(if can_be_mended { bad_input(error) } else { error });
        }
    };
    let campaigns = Campaigns::connect(own.url(), &Credentials::default()).await?;
    Ok(Reached { campaigns, own: Some(own) })
}

/// Why an embedded coordinator did not start, if that is the error.
pub(crate) fn start_error(error: &anyhow::Error) -> Option<&StartError> {
    let in_request = || error.downcast_ref::<BadInput>().and_then(BadInput::downcast_ref);
    error.downcast_ref().or_else(in_request)
}

/// Whether another coordinator holds the data directory; it may be just starting or stopping.
pub(crate) fn is_taken(error: &anyhow::Error) -> bool {
    matches!(start_error(error), Some(StartError::Lock(LockError::Held { .. })))
}

/// What a command is about to do with a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Only ask. The data directory stays free for a coordinator that starts meanwhile.
    Read,
    Change,
}

/// Connects to the requested coordinator or the one serving the data directory; otherwise embeds one without workers, so that
/// stored data can always be queried.
pub(crate) async fn reach_or_embed(args: &CoordinatorArgs, data_dir: &Path, intent: Intent) -> anyhow::Result<Reached> {
    if let Some(reached) = reach(args, data_dir).await? {
        return Ok(reached);
    }
    require_store(data_dir)?;
    let options = CoordinatorOptions::new(data_dir);
    if intent == Intent::Read {
        match embedded(CoordinatorOptions { reads_only: true, ..options.clone() }).await {
            // Its schema is an earlier one, which only a coordinator that has the directory to itself may change.
            Err(error) if is_of_earlier_version(&error) => {}
            reached => return reached,
        }
    }
    embedded(options).await
}

/// That the directory has a store which this user can read.
fn require_store(data_dir: &Path) -> anyhow::Result<()> {
    if !matches!(Place::of(data_dir), Ok(Place::File)) {
        // A database says by itself why it cannot be opened.
        return Ok(());
    }
    let store = data_dir.join("store.sqlite");
    match File::open(&store) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(bad_input(anyhow!(
            "{} has no stored data and no running coordinator: give --data-dir or --coordinator",
            data_dir.display()
        ))),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", store.display())).or_bad_input(),
    }
}

fn is_of_earlier_version(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StartError::Store { source: StoreError::Earlier, .. }))
}

/// Runs `work`, which changes nothing, with the coordinator of [`reach_or_embed`].
pub(crate) fn with_reader<T>(
    global: &Global,
    args: &CoordinatorArgs,
    work: impl AsyncFnOnce(&mut Campaigns) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    with(global, args, Intent::Read, work)
}

/// Runs `work` with the coordinator of [`reach_or_embed`].
pub(crate) fn with_coordinator<T>(
    global: &Global,
    args: &CoordinatorArgs,
    work: impl AsyncFnOnce(&mut Campaigns) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    with(global, args, Intent::Change, work)
}

fn with<T>(
    global: &Global,
    args: &CoordinatorArgs,
    intent: Intent,
    work: impl AsyncFnOnce(&mut Campaigns) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let data_dir = data_dir(global)?;
    crate::local::runtime()?.block_on(async {
        let mut reached = reach_or_embed(args, &data_dir, intent).await?;
        let outcome = work(&mut reached.campaigns).await;
        reached.leave().await;
        outcome
    })
}

/// Opens a coordinator's storage, which must be reachable from this machine.
pub(crate) async fn storage(campaigns: &mut Campaigns) -> anyhow::Result<Storage> {
    Ok(storage_at(campaigns).await?.1)
}

async fn storage_at(campaigns: &mut Campaigns) -> anyhow::Result<(String, Storage)> {
    let url = campaigns.info().await?.storage;
    let storage = Storage::open(&url).context("cannot reach the coordinator's storage from this machine")?;
    Ok((url, storage))
}

/// Puts data prepared on this machine into the coordinator's storage, unless it is there: directly if this process can write
/// to the storage, otherwise through the coordinator.
pub(crate) async fn upload(campaigns: &mut Campaigns, prepared: &Prepared) -> anyhow::Result<()> {
    let Prepared { dataset, dir, .. } = prepared;
    let mut display = UploadDisplay::default();
    let mut show = |upload: &Upload| display.show(upload);
    let uploaded = match writable_storage(campaigns).await? {
        Ok(storage) => upload_dataset(&dataset.id, dir, &storage, &mut show).await,
        Err(why) => {
            say(&format!("{why}: the data goes through the coordinator"));
            send_dataset(campaigns, &dataset.id, dir, &mut show).await
        }
    };
    display.finish();
    Ok(uploaded?)
}

/// The coordinator's storage, or why this process cannot write to it.
async fn writable_storage(campaigns: &mut Campaigns) -> anyhow::Result<Result<Destination, String>> {
    let Info { storage: url, storage_id, .. } = campaigns.info().await?;
    let Ok(id) = storage_id.parse::<StorageId>() else {
        // An earlier version, through which nothing can be sent.
        let (url, storage) = storage_at(campaigns).await?;
        return Ok(Ok(destination(url, &storage)));
    };
    let storage = match Storage::open(&url) {
        Ok(storage) => storage,
        Err(error) => return Ok(Err(format!("cannot use the coordinator's storage from here ({})", one_line(&error)))),
    };
    // Under a name that no other process has.
    match storage::prove(storage.store().as_ref(), &id, &format!("client-{}", StorageId::fresh())).await {
        Ok(()) => Ok(Ok(destination(url, &storage))),
        Err(error) => Ok(Err(format!("cannot use {url}, the coordinator's storage ({})", one_line(&error)))),
    }
}

fn destination(url: String, storage: &Storage) -> Destination {
    Destination { url, store: storage.store().clone(), directory: storage.directory().map(Path::to_owned) }
}
