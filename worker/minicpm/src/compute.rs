//! Where a model runs: the device, chosen at run time among the backends compiled in.

use std::fmt;
use std::sync::Arc;

use burn::tensor::Device;
use vocabulary::Precision;

/// A device, and the threads that work on it.
///
/// Tensors are touched inside [`Compute::install`] alone. On a GPU that is one thread, always the same: burn's GPU backends
/// queue work by the thread that orders it. A snapshot read elsewhere than where steps are done was seen to have, of the
/// parameters updated last, the values before the update (burn 0.22.1 on wgpu, 2026-11-25); that the queues are the cause is
/// an inference, and later tries did not show it again.
#[derive(Clone)]
pub struct Compute {
    kind: Kind,
    pool: Arc<rayon::ThreadPool>,
    memory: Option<u64>,
    /// The other devices, of the same kind.
    others: Arc<[Compute]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flex,
    #[cfg(feature = "cuda")]
    Cuda(usize),
    #[cfg(feature = "wgpu")]
    Wgpu,
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// The name is not that of a device.
    #[error("`{name}` is not a device: expected auto, flex, cuda:INDEX or wgpu")]
    Unknown {
        /// The name given.
        name: String,
    },
    /// The backend is known but was not compiled in.
    #[error("this build has no {backend} backend: build with `--features {backend}`")]
    NotBuilt {
        /// The missing feature.
        backend: &'static str,
    },
    /// The backend is compiled in, but no such device answers: the driver may be missing.
    #[error("no device {name}: {found} found (is the driver installed, and visible to this process?)")]
    Absent {
        /// The name given.
        name: String,
        /// How many devices of the backend there are.
        found: usize,
    },
    /// Several devices were named, and one is of another kind than the first: their bits would differ.
    #[error("`{first}` and `{other}` cannot train one stage: name devices of one kind, such as cuda:0,cuda:1")]
    Mixed {
        /// The first name.
        first: String,
        /// The name of another kind.
        other: String,
    },
    /// A GPU was named twice.
    #[error("`{name}` is named twice")]
    Twice {
        /// As it was given, for example `cuda:0`.
        name: String,
    },
    /// The thread pool could not be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// The number of threads.
        threads: usize,
        /// The cause.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
}

impl Compute {
    /// The device of a name: `auto` (the first GPU found, or else the CPU), `flex` (the CPU), `cuda:0`, `wgpu`. Several names,
    /// separated by commas, are devices that train one stage together; the CPU may be named more than once.
    ///
    /// `threads` is the number of threads the CPU backend may use; results do not depend on it.
    pub fn parse(names: &str, threads: usize) -> Result<Self, ComputeError> {
        let kinds: Vec<(&str, Kind)> =
            names.split(',').map(|name| Ok((name, Kind::parse(name)?))).collect::<Result<_, ComputeError>>()?;
        let (first, kind) = kinds[0];
        for (index, &(name, other)) in kinds.iter().enumerate().skip(1) {
            if name == "auto" || first == "auto" {
                return Err(ComputeError::Unknown { name: names.to_owned() });
            }
            if std::mem::discriminant(&kind) != std::mem::discriminant(&other) {
                return Err(ComputeError::Mixed { first: first.to_owned(), other: name.to_owned() });
            }
            if other != Kind::Flex && kinds[..index].iter().any(|(_, before)| *before == other) {
                return Err(ComputeError::Twice { name: name.to_owned() });
            }
        }
        let threads = (threads / kinds.len()).max(1);
        let others = kinds[1..].iter().map(|&(_, kind)| Self::of_kind(kind, threads)).collect::<Result<_, _>>()?;
        Ok(Self { others, ..Self::of_kind(kind, threads)? })
    }

    fn of_kind(kind: Kind, threads: usize) -> Result<Self, ComputeError> {
        let threads = if kind == Kind::Flex { threads } else { 1 };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("compute-{index}"))
            .build()
            .map_err(|source| ComputeError::Threads { threads, source })?;
        Ok(Self { kind, pool: Arc::new(pool), memory: None, others: Arc::default() })
    }

    /// The devices named after the first. What computes gradients uses them; all else happens on the first.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        &self.others
    }

    /// The same with this many bytes of memory to train in, on each device. No backend reports its memory, so users state it.
    #[must_use]
    pub fn with_memory(self, bytes: Option<u64>) -> Self {
        Self { memory: bytes, ..self }
    }

    /// Bytes of memory to train in, if known.
    #[must_use]
    pub fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Whether this device trains in a number format.
    ///
    /// The CPU backend supports every format; bfloat16 is slower than 32 bits on CPUs without instructions for it.
    #[must_use]
    pub fn supports(&self, precision: Precision) -> bool {
        match (precision, self.kind) {
            (Precision::Fp32, _) | (Precision::Bf16, Kind::Flex) => true,
            #[cfg(any(feature = "cuda", feature = "wgpu"))]
            (Precision::Bf16, _) => self.device().supports_dtype(burn::tensor::FloatDType::BF16),
        }
    }

    /// The burn device, with automatic differentiation.
    #[must_use]
    pub fn device(&self) -> Device {
        match self.kind {
            Kind::Flex => Device::flex(),
            #[cfg(feature = "cuda")]
            Kind::Cuda(index) => Device::cuda(index),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        }
        .autodiff()
    }

    /// Runs on the threads of this device.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// How many threads work on the device.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }
}

impl Kind {
    fn parse(name: &str) -> Result<Self, ComputeError> {
        let (backend, index) = name.split_once(':').unwrap_or((name, "0"));
        let index: usize = index.parse().map_err(|_| ComputeError::Unknown { name: name.to_owned() })?;
        match backend {
            "auto" => Ok(Self::first_gpu().unwrap_or(Self::Flex)),
            "flex" if index == 0 => Ok(Self::Flex),
            "cuda" => Self::cuda(name, index),
            "wgpu" if index == 0 => Self::wgpu(name),
            _ => Err(ComputeError::Unknown { name: name.to_owned() }),
        }
    }

    fn first_gpu() -> Option<Self> {
        let has_card = || !Self::only_software();
        Self::cuda("cuda:0", 0).ok().or_else(|| Self::wgpu("wgpu").ok().filter(|_| has_card()))
    }

    #[cfg(not(feature = "wgpu"))]
    fn only_software() -> bool {
        false
    }

    /// Whether wgpu has nothing but a CPU that plays a GPU, such as lavapipe: it has to be asked for by name.
    #[cfg(feature = "wgpu")]
    fn only_software() -> bool {
        use burn::backend::{CubeDevice, DispatchDevice, WgpuDeviceKind};

        let is_software = |device: &Device| match device.as_dispatch() {
            DispatchDevice::Cube(CubeDevice::Wgpu(device)) => device.kind == WgpuDeviceKind::Cpu,
            _ => false,
        };
        Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec().iter().all(is_software)
    }

    #[cfg(feature = "cuda")]
    fn cuda(name: &str, index: usize) -> Result<Self, ComputeError> {
        // Enumerating asks the driver and answers none where it is missing; opening a device would panic.
        let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len();
        if index < found { Ok(Self::Cuda(index)) } else { Err(ComputeError::Absent { name: name.to_owned(), found }) }
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda(_name: &str, _index: usize) -> Result<Self, ComputeError> {
        Err(ComputeError::NotBuilt { backend: "cuda" })
    }

    #[cfg(feature = "wgpu")]
    fn wgpu(name: &str) -> Result<Self, ComputeError> {
        let found = Device::enumerate(burn::tensor::DeviceType::Wgpu).into_vec().len();
        if found > 0 { Ok(Self::Wgpu) } else { Err(ComputeError::Absent { name: name.to_owned(), found }) }
    }

    #[cfg(not(feature = "wgpu"))]
    fn wgpu(_name: &str) -> Result<Self, ComputeError> {
        Err(ComputeError::NotBuilt { backend: "wgpu" })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flex => f.write_str("flex"),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => f.write_str("wgpu"),
        }
    }
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        self.others.iter().try_for_each(|other| write!(f, ",{}", other.kind))
    }
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compute({self}, {} threads)", self.threads())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_devices_are_named() {
        for name in ["gpu", "cuda:x", "flex:1", ""] {
            let error = Compute::parse(name, 1).expect_err(name).to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }

    #[test]
    fn several_devices_have_the_names_they_were_given() {
        let compute = Compute::parse("flex,flex,flex", 7).expect("the CPU is always there");
        assert_eq!(compute.to_string(), "flex,flex,flex");
        assert_eq!(compute.others().len(), 2);
        assert!(compute.others().iter().all(|other| other.threads() == 2 && other.others().is_empty()));
        for name in ["flex,auto", "auto,flex", "flex,"] {
            assert!(matches!(Compute::parse(name, 1), Err(ComputeError::Unknown { .. })), "{name}");
        }
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn devices_of_one_stage_are_of_one_kind() {
        if Kind::wgpu("wgpu").is_err() {
            eprintln!("skipped: there is no device for wgpu");
            return;
        }
        let error = Compute::parse("flex,wgpu", 1).expect_err("mixed").to_string();
        assert!(error.contains("devices of one kind"), "{error}");
        let error = Compute::parse("wgpu,wgpu", 1).expect_err("the same").to_string();
        assert!(error.contains("named twice"), "{error}");
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_backend_that_was_left_out_says_how_to_build_it() {
        let error = Compute::parse("cuda:0", 1).expect_err("not built").to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
