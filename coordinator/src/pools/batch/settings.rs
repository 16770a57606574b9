//! What somebody asks for when they add a pool, of whatever kind.

use std::path::PathBuf;

use scheduler::pool::batch::BatchSettings;

use super::error::InvalidSettings;
use super::system::Grounds;
use crate::pools::kubernetes::KubernetesSettings;
use crate::pools::slurm::SlurmSettings;

/// A pool's settings, by the system that has its jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settings {
    Slurm(SlurmSettings),
    Kubernetes(KubernetesSettings),
}

const SLURM: &str = "slurm";
const KUBERNETES: &str = "kubernetes";

impl Settings {
    /// Reads the settings of a stored pool; `None` if this version knows no such kind.
    pub(super) fn read(kind: &str, json: &str) -> Option<serde_json::Result<Self>> {
        match kind {
            SLURM => Some(serde_json::from_str(json).map(Self::Slurm)),
            KUBERNETES => Some(serde_json::from_str(json).map(Self::Kubernetes)),
            _ => None,
        }
    }

    /// The kind's name in the store.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Slurm(_) => SLURM,
            Self::Kubernetes(_) => KUBERNETES,
        }
    }

    pub(super) fn json(&self) -> String {
        let json = match self {
            Self::Slurm(settings) => serde_json::to_string(settings),
            Self::Kubernetes(settings) => serde_json::to_string(settings),
        };
        json.expect("settings always have a JSON form")
    }

    /// Checks everything that was asked for.
    ///
    /// # Errors
    /// If something is out of bounds.
    pub(super) fn check(&self, name: &str) -> Result<(), InvalidSettings> {
        match self {
            Self::Slurm(settings) => settings.check(name),
            Self::Kubernetes(settings) => settings.check(name),
        }
    }

    /// The part that decides how many allocations there are.
    pub(super) fn batch(&self, grounds: &Grounds) -> BatchSettings {
        match self {
            Self::Slurm(settings) => settings.batch(grounds.options.slurm.settle),
            Self::Kubernetes(settings) => settings.batch(grounds.options.kubernetes.settle),
        }
    }

    pub(super) fn workers_per_allocation(&self) -> u32 {
        match self {
            Self::Slurm(settings) => settings.workers_per_allocation,
            Self::Kubernetes(_) => 1,
        }
    }

    pub(super) fn folder(&self, otherwise: PathBuf) -> PathBuf {
        match self {
            Self::Slurm(settings) => settings.folder(otherwise),
            Self::Kubernetes(_) => otherwise,
        }
    }

    /// The address at which workers dial the coordinator; empty where it is the usual one.
    pub(super) fn dial(&self) -> &str {
        match self {
            Self::Slurm(settings) => &settings.dial,
            Self::Kubernetes(settings) => &settings.dial,
        }
    }

    /// Certificates (PEM) that verify the coordinator; may be empty.
    pub(super) fn ca(&self) -> &str {
        match self {
            Self::Slurm(settings) => &settings.ca,
            Self::Kubernetes(settings) => &settings.ca,
        }
    }
}
