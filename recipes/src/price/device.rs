//! Known devices, and their makers' peak figures.

use serde::Serialize;
use vocabulary::Precision;

/// A device, with the peaks of NVIDIA's data sheets: dense products in bfloat16 on tensor cores with 32-bit sums, and
/// in 32-bit floats without tensor cores (TF32 does not count as 32-bit arithmetic).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Device {
    /// Name on the command line.
    pub name: &'static str,
    /// Full name, for display.
    pub title: &'static str,
    /// Peak FLOP/s in bfloat16.
    pub bf16: f64,
    /// Peak FLOP/s in 32 bits.
    pub fp32: f64,
}

/// All known devices.
pub const DEVICES: [Device; 5] = [
    Device { name: "h100", title: "NVIDIA H100 SXM", bf16: 989.4e12, fp32: 66.9e12 },
    Device { name: "h200", title: "NVIDIA H200 SXM", bf16: 989.4e12, fp32: 66.9e12 },
    Device { name: "a100", title: "NVIDIA A100 SXM", bf16: 312e12, fp32: 19.5e12 },
    Device { name: "l40s", title: "NVIDIA L40S", bf16: 362e12, fp32: 91.6e12 },
    Device { name: "rtx4090", title: "NVIDIA GeForce RTX 4090", bf16: 165.2e12, fp32: 82.6e12 },
];

impl Device {
    /// Finds a device by name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        DEVICES.into_iter().find(|device| device.name.eq_ignore_ascii_case(name))
    }

    /// Peak FLOP/s in a number format.
    #[must_use]
    pub fn peak(&self, precision: Precision) -> f64 {
        match precision {
            Precision::Bf16 => self.bf16,
            Precision::Fp32 => self.fp32,
        }
    }
}
