//! Reading files, plain or gzip, without trusting a size that they claim.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::base::{Error, Result};

/// The most that one gzip file may unpack to where no header says how much it holds.
pub(super) const UNPACKED_LIMIT: u64 = 4 << 30;

/// The most memory that is taken before the bytes to fill it have been seen.
const FIRST_RESERVE: u64 = 256 << 20;

/// `stem` in `dir`, plain or with `.gz`; plain comes first.
pub(super) fn find(dir: &Path, stem: &str) -> Option<PathBuf> {
    [dir.join(stem), dir.join(format!("{stem}.gz"))].into_iter().find(|p| p.is_file())
}

/// The set's name: the last part of its path.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

/// A file's bytes, unpacked when its name ends in `.gz`.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = File::open(path).map_err(|e| Error::io("cannot open", path, e))?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(if is_gzip(path) { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}

/// All bytes of a file, unpacked; at most `limit` of them.
pub(super) fn read_all(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let answer = open(path)?.take(limit + 1).read_to_end(&mut bytes);
    check_read(path, answer, bytes.len())?;
    if bytes.len() as u64 > limit {
        return Err(Error::Data(format!(
            "{} unpacks to more than {limit} bytes, the most that is read from one file; split it",
            path.display(),
        )));
    }
    Ok(bytes)
}

/// Number of bytes in a file, unpacked; nothing is kept.
pub(super) fn unpacked_length(path: &Path) -> Result<u64> {
    if !is_gzip(path) {
        return Ok(std::fs::metadata(path).map_err(|e| Error::io("cannot read", path, e))?.len());
    }
    let (mut reader, mut buffer, mut length) = (open(path)?, vec![0; 1 << 16], 0);
    loop {
        let answer = reader.read(&mut buffer);
        let read = check_read(path, answer, length as usize)?;
        length += read as u64;
        if read == 0 || length > UNPACKED_LIMIT {
            return Ok(length);
        }
    }
}

/// Turns a failed read into an error that says how far the file was good.
fn check_read(path: &Path, answer: std::io::Result<usize>, good: usize) -> Result<usize> {
    answer.map_err(|e| {
        if is_gzip(path) {
            Error::Data(format!("{}: damaged gzip data after {good} unpacked bytes: {e}", path.display()))
        } else {
            Error::io("cannot read", path, e)
        }
    })
}

/// The first `length` bytes; `what` names the file in the error.
pub(super) fn read_header(reader: &mut dyn Read, what: &str, length: u64) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    let answer = reader.take(length).read_to_end(&mut header);
    if header.len() as u64 == length {
        return Ok(header);
    }
    let why = answer.err().map_or_else(|| "truncated".into(), |e| format!("damaged ({e})"));
    Err(Error::Data(format!(
        "{what}: a header of {length} bytes was expected, and only {} bytes are there: {why}",
        header.len(),
    )))
}

/// The `body` bytes that must follow `header` bytes already read, and nothing after them. `what` names the file and
/// `claim` says where the number comes from.
///
/// Memory grows with the bytes that arrive, so a header that claims too much costs nothing.
pub(super) fn read_body(reader: &mut dyn Read, what: &str, header: u64, body: u64, claim: &str) -> Result<Vec<u8>> {
    let expected = header.checked_add(body).ok_or_else(|| Error::Data(format!("{what}: {claim} is too large")))?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve(body.min(FIRST_RESERVE) as usize)
        .map_err(|e| Error::Memory(format!("{what}: no memory for {body} bytes: {e}")))?;
    let answer = reader.take(body).read_to_end(&mut bytes);
    let seen = header + bytes.len() as u64;
    if let Err(e) = answer {
        return Err(Error::Data(format!("{what}: {expected} bytes were expected ({claim}), and after {seen}: {e}")));
    }
    if seen < expected {
        return Err(Error::Data(format!(
            "{what}: {expected} bytes were expected ({claim}), and it has {seen}: truncated",
        )));
    }
    // Reading on also makes gzip and zip compare their checksums.
    let extra = count_rest(reader).map_err(|e| {
        Error::Data(format!(
            "{what}: {expected} bytes were expected ({claim}), and the data is damaged at its end: {e}"
        ))
    })?;
    if extra > 0 {
        let seen =
            if extra < COUNT_LIMIT { format!("{}", seen + extra) } else { format!("more than {}", seen + extra) };
        return Err(Error::Data(format!(
            "{what}: {expected} bytes were expected ({claim}), and it has {seen}: too many",
        )));
    }
    Ok(bytes)
}

/// How far surplus bytes are counted for the message.
const COUNT_LIMIT: u64 = 64 << 20;

fn count_rest(reader: &mut dyn Read) -> std::io::Result<u64> {
    let (mut buffer, mut count) = ([0; 4096], 0);
    while count < COUNT_LIMIT {
        match reader.read(&mut buffer)? {
            0 => break,
            n => count += n as u64,
        }
    }
    Ok(count)
}
