//! The simulated hosts: a coordinator, its workers, and a client that submits a campaign and waits for its end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coordinator::store::SqliteStore;
use coordinator::{Coordinator, CoordinatorOptions, Settings};
use futures::Stream;
use hyper_util::rt::TokioIo;
use proto::v1::campaign_service_client::CampaignServiceClient;
use proto::v1::{self, CampaignPhase};
use tonic::transport::{Channel, Endpoint, Uri};
use turmoil::net::{TcpListener, TcpStream};
use vocabulary::WorkerId;
use vocabulary::sample::smoke_dataset;
use vocabulary::text::one_line;
use worker::{StallLimits, WorkerError, WorkerOptions};

use crate::disk::{FileServer, SecondWriter};
use crate::faults::{Fault, Kind};
use crate::settle::settle;
use crate::trainer::{Life, PaperTrainer, Track};

pub(crate) const WORKERS: usize = 3;
const COORDINATOR: &str = "coordinator";
const PORT: u16 = 7450;
const URL: &str = "http://coordinator:7450";
/// Duration of a round trip to a thread of SQLite.
const TICK: Duration = Duration::from_millis(20);
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// A step that takes longer, or other work in proportion, is taken to hang.
const STALL: Duration = Duration::from_secs(5);
/// How long a process that ended because of its surroundings is not started again.
const RESTART: Duration = Duration::from_secs(1);
/// A campaign that takes longer is taken to hang.
const LONGEST: Duration = Duration::from_secs(600);
const USUAL_LATENCY: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(40)];
const SLOW: Duration = Duration::from_millis(2_500);

/// The smoke recipe: two sizes and two seeds, hence four trunks with three branches each.
const RECIPE: &str = include_str!("../../recipes/smoke.toml");

/// What a storm needs: none of its faults is the stages'.
const PATIENCE: &str = "\n[retries]\nnot_started = 1000\npreempted = 1000\nfailed = 1000\nbackoff_seconds = 0.5\nlongest_backoff_seconds = 1\n";

/// The result of a simulation.
pub(crate) struct Played {
    pub(crate) track: Arc<Track>,
    pub(crate) results: Vec<v1::TrialResult>,
    pub(crate) took: Duration,
    /// Connections that workers made.
    pub(crate) connections: usize,
    /// How often another process held the store.
    pub(crate) held: usize,
}

fn host(worker: usize) -> String {
    format!("worker-{worker}")
}

/// Plays a campaign over a data directory.
pub(crate) fn play(dir: &Path, seed: u64, faults: &[Fault]) -> Played {
    let files = FileServer::new(dir, &proto::layout::dataset_path(&smoke_dataset().id));
    let mut writer = SecondWriter::of(dir);
    let mut sim = turmoil::Builder::new();
    let mut sim = sim
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(LONGEST)
        .min_message_latency(USUAL_LATENCY[0])
        .max_message_latency(USUAL_LATENCY[1])
        .tcp_capacity(4096)
        .enable_tokio_io()
        .build();
    let track = Track::new();
    let connections = Arc::new(AtomicUsize::new(0));

    let data = dir.to_owned();
    sim.host(COORDINATOR, move || {
        let data = data.clone();
        async move {
            // On the runtime, which a crash ends first, together with the tasks inside.
            Ok(tokio::spawn(coordinate(data)).await??)
        }
    });
    let lives: Vec<Arc<Mutex<Vec<Life>>>> = (0..WORKERS).map(|_| Arc::default()).collect();
    for (worker, lives) in lives.iter().enumerate() {
        let (dir, track, lives) = (dir.to_owned(), Arc::clone(&track), Arc::clone(lives));
        let (connections, storage) = (Arc::clone(&connections), files.address_at(worker));
        sim.host(host(worker), move || {
            let (dir, track, lives) = (dir.clone(), Arc::clone(&track), Arc::clone(&lives));
            let (connections, storage) = (Arc::clone(&connections), storage.clone());
            let connect = move |uri| {
                let connections = Arc::clone(&connections);
                async move {
                    let connected = dial(uri).await?;
                    connections.fetch_add(1, Ordering::Relaxed);
                    Ok(connected)
                }
            };
            async move {
                loop {
                    let life = new_life(&lives, seed, worker);
                    let trainer = PaperTrainer { track: Arc::clone(&track), life: life.clone() };
                    let options = WorkerOptions {
                        worker_id: Some(life.worker),
                        name: Some(host(worker)),
                        storage_url: Some(storage.clone()),
                        checkpoint_interval: Some(Duration::from_secs(2)),
                        stall_limits: StallLimits { step: STALL },
                        ..WorkerOptions::new(URL, dir.join(host(worker)))
                    };
                    let (_leave, requests) = tokio::sync::mpsc::channel(1);
                    let connect = connect.clone();
                    let serving = worker::serve_through(options, "paper".to_owned(), trainer, requests, connect);
                    match tokio::spawn(serving).await? {
                        // Another process takes its place.
                        Err(WorkerError::Stalled { .. }) => track.end(&[life]),
                        // Somebody sees the message and starts it again.
                        Err(WorkerError::OtherStorage { .. }) => {
                            track.end(&[life]);
                            tokio::time::sleep(RESTART).await;
                        }
                        Err(error) => return Err(error.into()),
                        Ok(_) => return Err("a worker left that nobody told to".into()),
                    }
                }
            }
        });
    }
    let results = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&results);
    let is_storm = faults.iter().any(|fault| fault.kind.counts());
    let recipe = format!("{RECIPE}{}", if is_storm { PATIENCE } else { "" });
    sim.client("person", async move {
        let results = watch(&recipe).await;
        *found.lock().expect("nobody panics with it") = results;
        Ok(())
    });

    let mut ahead: Vec<(Duration, Fault, bool)> =
        faults.iter().flat_map(|fault| [(fault.from, *fault, true), (fault.until, *fault, false)]).collect();
    ahead.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    let mut is_over = false;
    while !is_over {
        while let Some((_, fault, begins)) = ahead.pop_if(|(at, ..)| *at <= sim.elapsed()) {
            match (fault.kind, begins) {
                (Kind::StorageNotShared, true) => files.unshare(fault.worker),
                (Kind::StorageNotShared, false) => files.share(fault.worker),
                (Kind::StorageAway, true) => files.go_away(),
                (Kind::StorageAway, false) => files.come_back(),
                (Kind::SecondWriter, wants) => writer.want(wants),
                _ => turn(&mut sim, &track, &lives, fault, begins),
            }
        }
        writer.try_to_write();
        is_over = sim.step().unwrap_or_else(|error| panic!("at {:?}: {error}", sim.elapsed()));
        track.move_to(sim.elapsed());
        settle();
    }
    let took = sim.elapsed();
    for lives in &lives {
        track.end(&lives.lock().expect("nobody panics with it"));
    }
    sim.crash(COORDINATOR);
    (0..WORKERS).for_each(|worker| sim.crash(host(worker)));
    writer.want(false);
    settle();
    files.come_back();
    let results = results.lock().expect("nobody panics with it").clone();
    let connections = connections.load(Ordering::Relaxed);
    Played { track, results, took, connections, held: writer.held }
}

/// Another process of a worker.
fn new_life(lives: &Mutex<Vec<Life>>, seed: u64, worker: usize) -> Life {
    let mut lives = lives.lock().expect("nobody panics with it");
    let name = format!("{seed} {worker} {}", lives.len());
    let life = Life::new(WorkerId::from_content(name.as_bytes()), worker);
    lives.push(life.clone());
    life
}

/// Begins or ends a fault of the network or of a process.
fn turn(sim: &mut turmoil::Sim<'_>, track: &Track, lives: &[Arc<Mutex<Vec<Life>>>], fault: Fault, begins: bool) {
    let worker = host(fault.worker);
    let worker = worker.as_str();
    match (fault.kind, begins) {
        (Kind::Partition, true) => sim.partition(worker, COORDINATOR),
        (Kind::Partition, false) => sim.repair(worker, COORDINATOR),
        (Kind::WorkerUnheard, true) => sim.partition_oneway(worker, COORDINATOR),
        (Kind::WorkerUnheard, false) => sim.repair_oneway(worker, COORDINATOR),
        (Kind::WorkerDeaf, true) => sim.partition_oneway(COORDINATOR, worker),
        (Kind::WorkerDeaf, false) => sim.repair_oneway(COORDINATOR, worker),
        (Kind::Hold, true) => sim.hold(worker, COORDINATOR),
        (Kind::Hold, false) => sim.release(worker, COORDINATOR),
        (Kind::Slow, true) => sim.set_link_latency(worker, COORDINATOR, SLOW),
        (Kind::Slow, false) => {
            sim.set_link_latency(worker, COORDINATOR, USUAL_LATENCY[0]);
            sim.set_link_max_message_latency(worker, COORDINATOR, USUAL_LATENCY[1]);
        }
        (Kind::WorkerCrash, true) => {
            track.end(&lives[fault.worker].lock().expect("nobody panics with it"));
            sim.crash(worker);
        }
        (Kind::WorkerCrash, false) => sim.bounce(worker),
        (Kind::WorkerHang, true) => {
            lives[fault.worker].lock().expect("nobody panics with it").iter().for_each(Life::hang);
        }
        (Kind::WorkerHang, false) => {}
        (Kind::BlackHole, true) => track.break_host(fault.worker),
        (Kind::BlackHole, false) => {}
        (Kind::CoordinatorCrash, true) => sim.crash(COORDINATOR),
        (Kind::CoordinatorCrash, false) => sim.bounce(COORDINATOR),
        (Kind::StorageNotShared | Kind::StorageAway | Kind::SecondWriter, _) => {
            unreachable!("a fault of the disks is not one of the network")
        }
    }
}

async fn coordinate(data_dir: PathBuf) -> Result<(), io::Error> {
    let handle = loop {
        match start(&data_dir).await {
            Ok(handle) => break handle,
            // As whatever supervises it does: the storage may be away, or the store held.
            Err(error) => println!("the coordinator is started again: {}", one_line(&*error)),
        }
        tokio::time::sleep(RESTART).await;
    };
    handle.wait().await.map_err(io::Error::other)?;
    Err(io::Error::other("a coordinator ended that nobody told to"))
}

async fn start(data_dir: &Path) -> Result<coordinator::Handle, Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT)).await?;
    // Its waits for another process would be in real time: the driver's, which are not, have to do.
    let store = SqliteStore::open_waiting(&data_dir.join("store.sqlite"), Duration::from_millis(1)).await?;
    let options = CoordinatorOptions {
        settings: Settings::with_lease(LEASE),
        storage: Some(FileServer::storage_in(data_dir).display().to_string()),
        store: Some(Arc::new(store)),
        require_token: false,
        ..CoordinatorOptions::new(data_dir)
    };
    Ok(Coordinator::start_on(options, URL.to_owned(), accept(listener)).await?)
}

fn accept(listener: TcpListener) -> impl Stream<Item = io::Result<(TcpStream, SocketAddr)>> + Send + 'static {
    futures::stream::unfold(listener, async |listener| Some((listener.accept().await, listener)))
}

async fn dial(_: Uri) -> io::Result<TcpStream> {
    TcpStream::connect((COORDINATOR, PORT)).await
}

/// Submits the campaign, and reconnects until it has ended.
async fn watch(recipe: &str) -> Vec<v1::TrialResult> {
    loop {
        if let Ok(Ok(Some(results))) = tokio::time::timeout(Duration::from_secs(20), look(recipe)).await {
            return results;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn look(recipe: &str) -> Result<Option<Vec<v1::TrialResult>>, Box<dyn std::error::Error>> {
    let connector = tower::service_fn(|uri| async move { dial(uri).await.map(TokioIo::new) });
    let channel: Channel = Endpoint::from_static(URL).connect_with_connector(connector).await?;
    let mut client = CampaignServiceClient::new(channel);
    let recipe_text = recipe.replace("seeds = [0]", "seeds = [0, 1]");
    let submission = v1::SubmitRequest {
        weight: None,
        recipe_file: "smoke.toml".to_owned(),
        recipe_text,
        dataset: Some((&smoke_dataset()).into()),
    };
    let campaign = client.submit(submission).await?.into_inner().campaign;
    let request = v1::GetCampaignRequest { campaign: campaign.clone() };
    let summary = client.get_campaign(request).await?.into_inner().summary.ok_or("no summary")?;
    if summary.phase() != CampaignPhase::Ended {
        return Ok(None);
    }
    Ok(Some(client.get_results(v1::GetResultsRequest { campaign }).await?.into_inner().results))
}
