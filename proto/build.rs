//! Compiles the contract with protox, so that no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=windtunnel");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true).open_files([
        "windtunnel/v1/vocabulary.proto",
        "windtunnel/v1/session.proto",
        "windtunnel/v1/campaigns.proto",
        "windtunnel/v1/pools.proto",
    ])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("windtunnel.v1.fds"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
