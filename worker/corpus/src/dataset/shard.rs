//! Token files: little-endian `.npy`, mapped into memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

/// A mapped `.npy` of 16-bit or 32-bit unsigned numbers.
#[derive(Debug)]
pub(super) struct Shard {
    map: Mmap,
    /// Byte offset of the first number.
    offset: usize,
    /// Bytes per number.
    width: usize,
    len: usize,
}

impl Shard {
    /// Maps a file and parses its header.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: datasets are written elsewhere, renamed into place and never changed afterwards. Numbers are read as
        // bytes, so a file modified by somebody else yields wrong numbers at worst, except when it is truncated.
        let map = unsafe { Mmap::map(&file)? };
        let refuse = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem.to_owned());
        let Some(Header { offset, width, len }) = Header::read(&map) else {
            return Err(refuse("not an array of one dimension, of unsigned 16-bit or 32-bit little-endian numbers"));
        };
        if len.checked_mul(width) != Some(map.len() - offset) {
            return Err(refuse("its length is not what its header says"));
        }
        Ok(Self { map, offset, width, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends the numbers of a range, which must lie within the file.
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

/// The header of a `.npy`.
///
/// The header is a Python literal. Only the form that numpy writes for such an array is accepted, with any spacing: a
/// parser for all literals needs more than five seconds for a hundred open brackets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Byte offset of the first number.
    offset: usize,
    /// Bytes per number.
    pub(crate) width: usize,
    pub(crate) len: usize,
}

impl Header {
    /// The header at the start of a file.
    pub(crate) fn read(file: &[u8]) -> Option<Self> {
        let (version, rest) = file.strip_prefix(b"\x93NUMPY")?.split_first_chunk::<2>()?;
        let (length, rest) = match version {
            [1, 0] => {
                rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest))?
            }
            [2 | 3, 0] => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
            }
            _ => return None,
        };
        let (header, numbers) = rest.split_at_checked(length)?;
        let literal: String =
            std::str::from_utf8(header).ok()?.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        let rest = literal.strip_prefix("{'descr':'<u")?;
        let (width, rest) = rest.split_once("','fortran_order':")?;
        let width = match width {
            "2" => 2,
            "4" => 4,
            _ => return None,
        };
        // In one dimension, C and Fortran order are the same.
        let rest = rest.strip_prefix("False").or_else(|| rest.strip_prefix("True"))?;
        let rest = rest.strip_prefix(",'shape':(")?;
        let len = rest.strip_suffix(",),}").or_else(|| rest.strip_suffix(",)}"))?;
        Some(Self { offset: file.len() - numbers.len(), width, len: len.parse().ok()? })
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

    /// Appends `count` tokens from `start` on, across shards. The range must lie within the sequence.
    pub(super) fn read(&self, start: u64, count: usize, into: &mut Vec<u32>) {
        let (mut start, mut count) = (start, count);
        for shard in &self.shards {
            if start >= shard.len() as u64 {
                start -= shard.len() as u64;
                continue;
            }
            // Smaller than the shard's length, so it fits an index.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, length: &[u8], header: &str) -> Vec<u8> {
        [b"\x93NUMPY".as_slice(), &[version, 0], length, header.as_bytes(), &[1, 0, 2, 0]].concat()
    }

    #[test]
    fn headers_of_both_versions_are_read_whatever_their_spaces() {
        let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }  \n";
        let length = header.len() as u8;
        let read = |file: Vec<u8>| Header::read(&file).expect("it is read");
        let first = read(file(1, &[length, 0], header));
        assert_eq!(first, Header { offset: 10 + header.len(), width: 2, len: 2 });
        let second = read(file(2, &[length, 0, 0, 0], header));
        assert_eq!(second, Header { offset: 12 + header.len(), width: 2, len: 2 });
        let tight = "{'descr':'<u4','fortran_order':True,'shape':(7,)}";
        assert_eq!(read(file(1, &[tight.len() as u8, 0], tight)).len, 7);
    }

    #[test]
    fn other_arrays_and_lengths_beyond_the_file_are_refused() {
        for (descr, shape) in [("<u8", "(2,)"), ("<i2", "(2,)"), (">u2", "(2,)"), ("<u2", "(1, 2)"), ("<u2", "(-2,)")] {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
            assert_eq!(Header::read(&file(1, &[header.len() as u8, 0], &header)), None, "{header}");
        }
        let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }";
        assert_eq!(Header::read(&file(2, &[255, 255, 255, 255], header)), None);
    }
}
