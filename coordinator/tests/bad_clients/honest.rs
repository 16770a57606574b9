//! An honest worker and an honest client, who have to be served whatever others do.

use coordinator::CoordinatorOptions;
use proto::v1;
use proto::v1::campaign_service_client::CampaignServiceClient;
use proto::v1::coordinator_message::Body as Down;

use crate::bench::Bench;
use crate::worker::{Job, Worker};

pub(crate) struct Honest {
    pub(crate) bench: Bench,
    worker: Worker,
    job: Job,
    campaign: String,
}

impl Honest {
    /// At a coordinator started with these options, holding a stage.
    pub(crate) async fn at(change: impl FnOnce(&mut CoordinatorOptions)) -> Self {
        let mut bench = Bench::with(change).await;
        let campaign = bench.submit().await.campaign;
        let mut worker = Worker::join(&bench.handle, "honest").await;
        let job = worker.next_job().await;
        Self { bench, worker, job, campaign }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.bench.handle.public_url().trim_start_matches("http://").to_owned()
    }

    /// The worker says something and is heard; the client asks and is answered.
    pub(crate) async fn go_on(&mut self) {
        self.worker.report_points(&self.job, 0..5).await;
        loop {
            match self.worker.next().await {
                Down::Acknowledgement(taken_in) if taken_in.sequence == self.worker.sequence => break,
                Down::Acknowledgement(_) => {}
                other => panic!("expected an acknowledgement, and got {other:?}"),
            }
        }
        assert_eq!(self.bench.curve(&self.campaign, &self.job.attempt.stage).await.len(), 5);
    }

    /// Somebody who has not been there before asks, and is answered. Returns in which try.
    pub(crate) async fn newcomer(&self) -> usize {
        for attempt in 1..=20 {
            let Ok(mut client) = CampaignServiceClient::connect(self.bench.handle.public_url().to_owned()).await else {
                continue;
            };
            if client.get_info(v1::GetInfoRequest {}).await.is_ok() {
                return attempt;
            }
        }
        panic!("a newcomer was not served in 20 tries");
    }

    pub(crate) async fn leave(self) {
        drop(self.worker);
        self.bench.handle.shutdown().await;
    }
}
