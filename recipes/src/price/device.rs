//! Devices by name, and what their maker says they can do at most.

use serde::Serialize;
use vocabulary::Precision;

/// A device, with the peaks of NVIDIA's data sheets: dense products, bfloat16 on tensor cores with 32-bit sums, 32-bit
/// floats without (no TF32, which is no 32-bit arithmetic).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Device {
    /// How it is asked for.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Operations a second in bfloat16.
    pub bf16: f64,
    /// Operations a second in 32 bits.
    pub fp32: f64,
}

/// The devices that are known.
pub const DEVICES: [Device; 5] = [
    Device { name: "h100", title: "NVIDIA H100 SXM", bf16: 989.4e12, fp32: 66.9e12 },
    Device { name: "h200", title: "NVIDIA H200 SXM", bf16: 989.4e12, fp32: 66.9e12 },
    Device { name: "a100", title: "NVIDIA A100 SXM", bf16: 312e12, fp32: 19.5e12 },
    Device { name: "l40s", title: "NVIDIA L40S", bf16: 362e12, fp32: 91.6e12 },
    Device { name: "rtx4090", title: "NVIDIA GeForce RTX 4090", bf16: 165.2e12, fp32: 82.6e12 },
];

impl Device {
    /// The device of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        DEVICES.into_iter().find(|device| device.name.eq_ignore_ascii_case(name))
    }

    /// Operations a second in a number format, at most.
    #[must_use]
    pub fn peak(&self, precision: Precision) -> f64 {
        match precision {
            Precision::Bf16 => self.bf16,
            Precision::Fp32 => self.fp32,
        }
    }
}
