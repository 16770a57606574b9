//! Builds the client of a bucket.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Error, ObjectStore, RetryConfig};
use url::Url;

use super::Transfer;
use super::client::Connector;
use super::environment::{Environment, EnvironmentError};
use super::explain::Where;
use super::store::Bucket;
use crate::address::Service;

/// Why a bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The client refuses its settings.
    #[error(transparent)]
    Client(#[from] Error),
}

/// Opens a bucket. Talks to nobody yet.
pub(crate) fn open(
    service: Service,
    bucket: &str,
    url: &Url,
    variables: impl IntoIterator<Item = (String, String)>,
    transfer: Transfer,
) -> Result<Arc<dyn ObjectStore>, OpenError> {
    let environment = Environment::of(service, variables)?;
    let prefix = Path::from_url_path(url.path()).map_err(Error::from)?;
    let connector = Connector { transfer: transfer.clone(), is_here: environment.is_here };
    let retry = retry(&transfer);
    let place = Where { service, bucket: bucket.to_owned(), endpoint: environment.endpoint.clone() };
    let store = match service {
        Service::S3 => {
            // The service compares each object, and each part, with this before it takes it.
            let mut builder = AmazonS3Builder::new().with_checksum_algorithm(Checksum::SHA256);
            for (name, value) in environment.iter() {
                if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let builder = builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(connector);
            builder.build().map(|store| around(store, prefix, place, transfer))
        }
        Service::Google => {
            let mut builder = GoogleCloudStorageBuilder::new();
            for (name, value) in environment.iter() {
                if let Ok(key) = name.parse::<GoogleConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let builder = builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(connector);
            builder.build().map(|store| around(store, prefix, place, transfer))
        }
        Service::Azure => {
            let mut builder = MicrosoftAzureBuilder::new();
            for (name, value) in environment.iter() {
                if let Ok(key) = name.parse::<AzureConfigKey>() {
                    builder = builder.with_config(key, value);
                }
            }
            let builder = builder.with_container_name(bucket).with_retry(retry).with_http_connector(connector);
            builder.build().map(|store| around(store, prefix, place, transfer))
        }
    };
    Ok(store?)
}

fn around<T: ObjectStore + MultipartStore>(
    store: T,
    prefix: Path,
    place: Where,
    transfer: Transfer,
) -> Arc<dyn ObjectStore> {
    Arc::new(Bucket::new(PrefixStore::new(store, prefix), place, transfer))
}

/// How the client repeats single requests. Their signatures are valid for some minutes.
fn retry(transfer: &Transfer) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: transfer.first_wait, max_backoff: transfer.longest_wait, base: 2.0 },
        max_retries: transfer.retries,
        retry_timeout: transfer.stall * 3,
    }
}
