//! A stand-in for `cubecl-llvm`, cubecl's compiler from kernels to PTX by way of LLVM. It compiles nothing.
//!
//! `cubecl-cuda` has two compilers: this one, and one that prints CUDA C++ for NVRTC (its feature `cpp`). It depends on
//! both whichever is in use, and the published `cubecl-llvm` downloads an LLVM build of several hundred megabytes from
//! its build script. A machine without internet, or a build that must not fetch binaries, cannot build it. Windtunnel
//! uses the C++ compiler, so the workspace replaces this dependency by what is here: the items `cubecl-cuda` 0.11.3
//! names, with the same signatures, and nothing behind them.
//!
//! That nothing behind them is ever reached is in the types: [`NvptxModule`] and [`PtxVersion`] hold a value of a type
//! that has none, so no code can make one. Should the feature `cpp` be lost, the first kernel fails with an error that
//! says so ([`PlironCompiler::compile`]).
//!
//! [`PtxVersion`]: nvptx::ptx_version::PtxVersion

use core::convert::Infallible;
use core::ffi::c_char;

use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::CompilationError;
use cubecl_runtime::kernel::BufferIOAttr;

pub mod nvptx;
pub mod shared;

/// What the compiler would compile for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// The host.
    #[default]
    Cpu,
    /// NVIDIA GPUs.
    Nvptx,
}

/// The compiler that is not there.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

/// What a compilation would be told.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// Architecture of an AMD GPU. The stand-in knows none.
    pub arch: Option<Infallible>,
    /// Architecture of an NVIDIA GPU.
    pub sm_arch: Option<SmArch>,
    /// The PTX version to emit.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether scalars travel in the kernel's parameter block.
    pub grid_constants: bool,
    /// Evaluation of half precision on the CPU: present because the published struct has fields beyond those that
    /// `cubecl-cuda` sets.
    pub f16_evaluation: (),
}

/// A compiled kernel. There is none: `never` has no values.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The PTX text, with its NUL.
    pub ptx: Vec<c_char>,
    /// Name of the kernel in it.
    pub entrypoint: String,
    /// The LLVM text it came from.
    pub ir: String,
    /// Shared memory a launch reserves, in bytes.
    pub shared_memory_size: usize,
    /// Which buffers are read and written.
    pub io: Vec<BufferIOAttr>,
    /// Keeps anyone from making one.
    pub never: Infallible,
}

/// What a compilation would give.
#[derive(Clone)]
pub enum PlironArtifact {
    /// For an NVIDIA GPU.
    NvptxCode(NvptxModule),
    /// For anything else.
    Other(Infallible),
}

impl PlironCompiler {
    /// Refuses.
    ///
    /// # Errors
    /// Always: this build has no LLVM.
    pub fn compile(
        &mut self,
        _kernel: KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM compiler for GPU kernels; \
                     enable the feature `cpp` of cubecl-cuda, which compiles them with NVRTC"
                .to_owned(),
            backtrace: BackTrace::capture(),
        })
    }

    /// What the language is called in logs and caches.
    pub fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
