//! What concerns NVIDIA GPUs.

/// The version of the PTX instruction set to emit.
pub mod ptx_version {
    use core::fmt;

    /// A PTX version. There is none, since no PTX is emitted.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum PtxVersion {}

    impl PtxVersion {
        /// The newest version that a driver loads: none of ours.
        #[must_use]
        pub fn for_driver(_driver: i32) -> Option<Self> {
            None
        }
    }

    impl fmt::Display for PtxVersion {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }
}
