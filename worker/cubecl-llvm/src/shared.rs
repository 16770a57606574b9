//! What concerns all targets.

/// Which features of a device the compiler can serve.
pub mod lowered_features {
    use cubecl_core::ir::DeviceProperties;

    /// The GPU a device's features are narrowed for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum GpuTarget {
        /// NVIDIA.
        Nvptx,
    }

    /// Leaves the properties as they are: `cubecl-cuda` asks only where this compiler is the one in use.
    pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
}
