//! `windtunnel logits`

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use npyz::{NpyFile, WriterBuilder};
use serde::Serialize;
use trainer::Inference;

use crate::args::CheckpointArgs;
use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::checkpoint::Checkpoint;
use crate::views::output;

/// Compute a checkpoint's logits for given tokens
///
/// For comparison with other implementations of the same model. Arrays are in numpy format.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel logits stage_1f2e3d4c --tokens tokens.npy --out logits.npy")]
pub(crate) struct Args {
    #[command(flatten)]
    checkpoint: CheckpointArgs,

    /// Tokens: integers of shape batch by context, or one sequence
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,

    /// Output file: 32-bit floats, [batch, context, vocabulary]
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Device to compute on: `auto`, `flex` (the CPU), `cuda:INDEX` or `wgpu`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,

    /// CPU threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

#[derive(Serialize)]
struct Computed {
    checkpoint: String,
    step: u64,
    /// Batch, context, vocabulary.
    shape: [u64; 3],
    out: PathBuf,
}

/// Sequences of equal length, concatenated.
struct Tokens {
    values: Vec<i64>,
    batch: usize,
    context: usize,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let compute = minicpm::Compute::parse(&self.device, usize::from(self.threads)).or_bad_input()?;
        let tokens = Tokens::read(&self.tokens)
            .with_context(|| format!("cannot use {}", self.tokens.display()))
            .or_bad_input()?;
        let checkpoint = Checkpoint::read(&self.checkpoint.checkpoint, &self.checkpoint.coordinator, global)?;
        let model = Inference::load(&checkpoint.snapshot, tokens.context, &compute).or_bad_input()?;
        let shape = [tokens.batch as u64, tokens.context as u64, u64::from(model.vocab())];
        write_whole(&self.out, |file| {
            let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
            for (index, sequence) in tokens.values.chunks_exact(tokens.context).enumerate() {
                let logits = model.logits(sequence).with_context(|| format!("sequence {index}")).or_bad_input()?;
                writer.extend(logits)?;
            }
            Ok(writer.finish()?)
        })?;
        let computed = Computed { checkpoint: checkpoint.name, step: checkpoint.snapshot.step, shape, out: self.out };
        output::print(&computed, global.json)?;
        Ok(Exit::Done)
    }
}

impl Tokens {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let file = NpyFile::new(BufReader::new(File::open(path)?))?;
        let shape = file.shape().iter().map(|length| usize::try_from(*length)).collect::<Result<Vec<_>, _>>()?;
        let (batch, context) = match shape[..] {
            [context] => (1, context),
            [batch, context] => (batch, context),
            _ => anyhow::bail!("unexpected shape {shape:?}: expected [batch, context] or [context]"),
        };
        ensure!(batch > 0 && context > 0, "shape {shape:?}: there are no tokens in it");
        ensure!(batch == 1 || file.order() == npyz::Order::C, "the array is in Fortran order: expected C order");
        let values = integers(file)?;
        ensure!(values.len() == batch * context, "the file is shorter than its header says");
        Ok(Self { values, batch, context })
    }
}

/// The values of an array of integers of any width.
fn integers(file: NpyFile<impl io::Read>) -> anyhow::Result<Vec<i64>> {
    fn each<T: npyz::Deserialize + TryInto<i64>>(file: NpyFile<impl io::Read>) -> anyhow::Result<Vec<i64>> {
        let value = |value: T| value.try_into().map_err(|_| anyhow::anyhow!("a token is too large for any vocabulary"));
        file.into_vec::<T>()?.into_iter().map(value).collect()
    }
    let kind = file.dtype().descr();
    match kind.trim_matches(['\'', '<', '>', '|', '=']) {
        "i1" => each::<i8>(file),
        "i2" => each::<i16>(file),
        "i4" => each::<i32>(file),
        "i8" => each::<i64>(file),
        "u1" => each::<u8>(file),
        "u2" => each::<u16>(file),
        "u4" => each::<u32>(file),
        "u8" => each::<u64>(file),
        _ => anyhow::bail!("the array holds {kind}: expected integers"),
    }
}

/// Writes a temporary file, and renames it when complete.
fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let cannot_write = || format!("cannot write {}", path.display());
    let mut name = path.file_name().with_context(cannot_write).map_err(bad_input)?.to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    let partial = path.with_file_name(name);
    let mut file = BufWriter::new(File::create(&partial).with_context(cannot_write).or_bad_input()?);
    let written = write(&mut file)
        .and_then(|()| file.flush().with_context(cannot_write))
        .and_then(|()| fs::rename(&partial, path).with_context(cannot_write));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

impl output::View for Computed {
    fn table(&self) -> String {
        let Self { checkpoint, step, shape: [batch, context, vocab], out } = self;
        format!("{checkpoint}, after {step} steps: {batch} x {context} x {vocab} logits in {}\n", out.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy<T: npyz::AutoSerialize>(shape: &[u64], values: impl IntoIterator<Item = T>) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(file.as_file_mut()).begin_nd().expect("begins");
        writer.extend(values).expect("is written");
        writer.finish().expect("is written");
        file
    }

    #[test]
    fn integers_of_any_width_are_tokens() {
        let read = |file: &tempfile::NamedTempFile| Tokens::read(file.path()).expect("reads");
        let tokens = read(&npy(&[2, 3], 0_u16..6));
        assert_eq!((tokens.values, tokens.batch, tokens.context), ((0..6).collect(), 2, 3));
        assert_eq!(read(&npy(&[3], [-1_i64, 2, 3])).values, [-1, 2, 3]);
        assert_eq!(read(&npy(&[1, 2], [7_i32, 8])).context, 2);
    }

    #[test]
    fn other_arrays_are_refused() {
        let refused =
            |file: &tempfile::NamedTempFile| format!("{:#}", Tokens::read(file.path()).err().expect("refused"));
        assert!(refused(&npy(&[2], [0.5_f32, 1.0])).contains("expected integers"));
        assert!(refused(&npy(&[1, 1, 1], [1_i64])).contains("[batch, context]"));
        assert!(refused(&npy(&[0, 4], [] as [i64; 0])).contains("no tokens"));
        assert!(refused(&npy(&[1], [u64::MAX])).contains("too large"));
    }
}
