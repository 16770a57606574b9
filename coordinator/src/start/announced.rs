//! An announcement that stands as long as its coordinator leads.
//!
//! Others may remove the file, or announce themselves in it. A coordinator that leads owns its file: it announces itself again
//! where nothing is announced, or one that does not answer any more. Two that answer and name the same file are for people to
//! part, and neither takes the file from the other. Whoever stands by announces nothing.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dial::{Address, Credentials, Rendezvous, RendezvousError};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{info, warn};
use vocabulary::text::one_line;

/// Between two looks at the file.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

/// What is announced, until this is dropped.
#[derive(Debug)]
pub(super) struct Announced {
    announcement: Arc<Announcement>,
    keeper: JoinHandle<()>,
}

#[derive(Debug)]
struct Announcement {
    file: PathBuf,
    content: Rendezvous,
    /// Held while the file is written or removed.
    is_withdrawn: Mutex<bool>,
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// This coordinator.
    Own,
    Nothing,
    Another(Rendezvous),
    /// Something that a coordinator did not write, or that others can read.
    Unusable(String),
    /// The file cannot be read now.
    Unknown,
}

impl Announced {
    /// Keeps what was written into a file.
    pub(super) fn keep(file: PathBuf, content: Rendezvous) -> Self {
        let announcement = Arc::new(Announcement { file, content, is_withdrawn: Mutex::new(false) });
        let keeper = tokio::spawn(keep(Arc::clone(&announcement)));
        Self { announcement, keeper }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.keeper.abort();
        self.announcement.withdraw();
    }
}

async fn keep(announcement: Arc<Announcement>) {
    let mut said = None;
    loop {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let reader = Arc::clone(&announcement);
        let Ok(found) = spawn_blocking(move || reader.look()).await else { return };
        let (file, is_free) = (announcement.file.display(), announcement.is_free(&found).await);
        let doubt = match found {
            Found::Own => None,
            // The next look shows more.
            Found::Unknown => continue,
            _ if is_free => {
                let writer = Arc::clone(&announcement);
                match spawn_blocking(move || writer.write()).await {
                    Ok(Ok(())) => {
                        info!(%file, "announced again: the file was gone, or named a coordinator that does not answer");
                        None
                    }
                    Ok(Err(error)) => Some(format!("cannot announce this coordinator again: {}", one_line(&error))),
                    Err(_) => return,
                }
            }
            Found::Unusable(why) => Some(format!("nobody finds this coordinator by its file any more: {why}")),
            Found::Nothing | Found::Another(_) => Some(format!(
                "another coordinator that answers is announced in the file now ({}): stop one of the two, or give each a file \
                 of its own",
                found.urls().join(" ")
            )),
        };
        if let Some(doubt) = doubt.as_deref().filter(|doubt| said.as_deref() != Some(*doubt)) {
            warn!(%file, "{doubt}");
        }
        said = doubt;
    }
}

impl Found {
    fn urls(&self) -> &[String] {
        match self {
            Self::Another(other) => &other.urls,
            _ => &[],
        }
    }
}

impl Announcement {
    fn look(&self) -> Found {
        match Rendezvous::read(&self.file) {
            Ok(content) if content == self.content => Found::Own,
            Ok(other) => Found::Another(other),
            Err(RendezvousError::Absent { .. }) => Found::Nothing,
            Err(error) if error.may_pass() => Found::Unknown,
            Err(error) => Found::Unusable(one_line(&error).to_string()),
        }
    }

    /// Whether this coordinator may announce itself where this was found.
    async fn is_free(&self, found: &Found) -> bool {
        match found {
            Found::Nothing => true,
            Found::Another(other) => !answers(other).await,
            Found::Own | Found::Unusable(_) | Found::Unknown => false,
        }
    }

    fn write(&self) -> io::Result<()> {
        let is_withdrawn = self.is_withdrawn.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_withdrawn { Ok(()) } else { self.content.write(&self.file) }
    }

    fn withdraw(&self) {
        *self.is_withdrawn.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.content.withdraw(&self.file);
    }
}

/// Whether somebody with the announced certificate answers at one of the announced addresses.
async fn answers(announced: &Rendezvous) -> bool {
    let ca = Some(announced.certificate.clone().into_bytes());
    let credentials = Credentials { ca, ..Credentials::default() };
    for url in &announced.urls {
        if let Ok(address) = Address::parse(url, &credentials)
            && address.connect().await.is_ok()
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(file: PathBuf, port: u16) -> Announcement {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("can be made");
        let content = Rendezvous {
            urls: vec![format!("https://127.0.0.1:{port}")],
            certificate: made.cert.pem(),
            worker_token: "wt_worker".to_owned(),
            submit_token: "wt_submit".to_owned(),
        };
        Announcement { file, content, is_withdrawn: Mutex::new(false) }
    }

    #[tokio::test]
    async fn a_leader_takes_back_its_file_from_whoever_does_not_answer() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("coordinator.json");
        let (own, other) = (announcement(file.clone(), 1), announcement(file.clone(), 2));
        assert_eq!(own.look(), Found::Nothing);
        assert!(own.is_free(&Found::Nothing).await);
        own.write().expect("written");
        assert_eq!(own.look(), Found::Own);
        other.write().expect("written");
        let found = own.look();
        assert_eq!(found, Found::Another(other.content.clone()));
        assert!(own.is_free(&found).await, "nobody listens there");
        // What people put there stays.
        std::fs::write(&file, "precious").expect("written");
        let found = own.look();
        assert!(matches!(found, Found::Unusable(_)) && !own.is_free(&found).await, "{found:?}");
    }

    #[tokio::test]
    async fn what_was_withdrawn_is_not_announced_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let own = announcement(dir.path().join("coordinator.json"), 1);
        own.write().expect("written");
        own.withdraw();
        assert!(!own.file.exists());
        own.write().expect("nothing is written");
        assert!(!own.file.exists());
    }
}
