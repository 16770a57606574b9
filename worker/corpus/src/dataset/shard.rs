//! Token files: `.npy`, little-endian, mapped into memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// A mapped `.npy` of 16-bit or 32-bit unsigned numbers.
#[derive(Debug)]
pub(super) struct Shard {
    map: Mmap,
    /// Where the numbers start.
    offset: usize,
    /// Bytes of a number.
    width: usize,
    len: usize,
}

impl Shard {
    /// Maps a file and reads its header.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: datasets are written beside their final place and renamed, and never changed after that. Numbers are
        // read as bytes, so that even a file changed by somebody else gives wrong numbers at worst, short of truncation.
        let map = unsafe { Mmap::map(&file)? };
        let mut rest = &map[..];
        let header = npyz::NpyHeader::from_reader(&mut rest)?;
        let offset = map.len() - rest.len();
        let refuse = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
        let width = match header.dtype().descr().as_str() {
            "'<u2'" => 2,
            "'<u4'" => 4,
            _ => return Err(refuse("not an array of unsigned 16-bit or 32-bit little-endian numbers")),
        };
        let &[len] = header.shape() else { return Err(refuse("not an array of one dimension")) };
        let len = usize::try_from(len).map_err(|_| refuse("too long for this machine"))?;
        if len.checked_mul(width) != Some(rest.len()) {
            return Err(refuse("its length is not what its header says"));
        }
        Ok(Self { map, offset, width, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends these numbers. The range lies within the file.
    pub(super) fn read(&self, range: Range<usize>, into: &mut Vec<u32>) {
        let bytes = &self.map[self.offset + range.start * self.width..self.offset + range.end * self.width];
        match self.width {
            2 => into.extend(bytes.chunks_exact(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])))),
            _ => {
                into.extend(bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]])))
            }
        }
    }
}

/// The shards of a split, as one sequence.
#[derive(Debug)]
pub(super) struct Tokens {
    shards: Vec<Shard>,
    len: u64,
}

impl Tokens {
    pub(super) fn new(shards: Vec<Shard>) -> Self {
        let len = shards.iter().map(|shard| shard.len() as u64).sum();
        Self { shards, len }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends `count` tokens from `start` on, across shards. The range lies within the sequence.
    pub(super) fn read(&self, start: u64, count: usize, into: &mut Vec<u32>) {
        let (mut start, mut count) = (start, count);
        for shard in &self.shards {
            if start >= shard.len() as u64 {
                start -= shard.len() as u64;
                continue;
            }
            // Smaller than the length of a shard, so it is an index.
            let first = start as usize;
            let end = shard.len().min(first + count);
            shard.read(first..end, into);
            count -= end - first;
            start = 0;
            if count == 0 {
                return;
            }
        }
    }
}
