//! Opens files that may be compressed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use vocabulary::ContentHash;

/// How a file is compressed, by its last ending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    #[default]
    None,
    /// `.gz`: one gzip stream, or several after one another.
    Gzip,
    /// `.zst`: one Zstandard frame, or several after one another.
    Zstandard,
}

/// Bytes read at once. Hashing is fast on buffers of this size.
const BUFFER: usize = 1 << 18;

/// A file that is hashed as it is read.
pub(super) struct Hashed<R> {
    reader: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, hasher: blake3::Hasher::new() }
    }

    /// Reads what is left, and returns the hash of all.
    pub(super) fn finish(mut self) -> io::Result<ContentHash> {
        self.hasher.update_reader(&mut self.reader)?;
        Ok(self.hasher.finalize().into())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Lets `work` read a file's uncompressed content. Returns its result and the hash of the file as it is stored, if `work`
/// wants the file to be read to its end.
pub(super) fn with_content<T, E: From<io::Error>>(
    path: &Path,
    compression: Compression,
    work: impl FnOnce(&mut dyn Read) -> Result<(T, bool), E>,
) -> Result<(T, Option<ContentHash>), E> {
    let mut file = Hashed::new(File::open(path)?);
    let (result, to_end) = {
        let buffered = BufReader::with_capacity(BUFFER, &mut file);
        match compression {
            Compression::None => work(&mut { buffered })?,
            Compression::Gzip => work(&mut flate2::bufread::MultiGzDecoder::new(buffered))?,
            Compression::Zstandard => work(&mut zstd::Decoder::with_buffer(buffered)?)?,
        }
    };
    let hash = if to_end { Some(file.finish()?) } else { None };
    Ok((result, hash))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_compressed_comes_back_and_the_file_is_hashed() {
        let dir = tempfile::tempdir().expect("a directory");
        let text = "some text\n".repeat(100_000);
        let gzip = |part: &str| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(part.as_bytes()).and_then(|()| encoder.finish()).expect("is compressed")
        };
        let zstandard = |part: &str| zstd::encode_all(part.as_bytes(), 1).expect("is compressed");
        let (head, tail) = text.split_at(77);
        for (compression, bytes) in [
            (Compression::None, text.clone().into_bytes()),
            (Compression::Gzip, [gzip(head), gzip(tail)].concat()),
            (Compression::Zstandard, [zstandard(head), zstandard(tail)].concat()),
        ] {
            let path = dir.path().join("file");
            std::fs::write(&path, &bytes).expect("writes");
            let read = |content: &mut dyn Read| {
                let mut text = String::new();
                content.read_to_string(&mut text)?;
                Ok::<_, io::Error>((text, true))
            };
            let (back, hash) = with_content(&path, compression, read).expect("reads");
            assert!(back == text, "{compression:?}");
            assert_eq!(hash, Some(ContentHash::of(&bytes)));
        }
    }
}
