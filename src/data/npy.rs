//! NumPy's `.npy`: a magic number, a Python dictionary as text, values.
//!
//! Source: NumPy's format description (numpy.lib.format), versions 1.0 to 3.0.

use std::io::Read;

use super::file;
use crate::base::{Error, Result};

/// The most bytes of a header that is believed.
const LONGEST_HEADER: u64 = 1 << 16;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The element type as NumPy writes it, `<i8` for one.
    pub dtype: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Bytes of the header itself, magic number included.
    length: u64,
}

/// Reads the header; `what` names the file in errors.
pub(super) fn read_header(reader: &mut dyn Read, what: &str) -> Result<Header> {
    let start = file::read_header(reader, what, 8)?;
    if &start[..6] != b"\x93NUMPY" {
        return Err(Error::Data(format!("{what}: not an .npy array: the first bytes are {:02x?}", &start[..6])));
    }
    let (length, width) = match start[6] {
        1 => {
            let b = file::read_header(reader, what, 2)?;
            (u64::from(u16::from_le_bytes([b[0], b[1]])), 2)
        }
        2 | 3 => {
            let b = file::read_header(reader, what, 4)?;
            (u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])), 4)
        }
        version => return Err(Error::Data(format!("{what}: .npy version {version} is not known (1 to 3 are)"))),
    };
    if length > LONGEST_HEADER {
        return Err(Error::Data(format!(
            "{what}: the .npy header claims {length} bytes; the most is {LONGEST_HEADER}"
        )));
    }
    let text = file::read_header(reader, what, length)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (dtype, fortran, shape) = parse_dictionary(&text)
        .ok_or_else(|| Error::Data(format!("{what}: the .npy header is not understood: {}", text.trim())))?;
    if fortran && shape.len() > 1 {
        return Err(Error::Data(format!(
            "{what}: the array is in Fortran order; save it with numpy.ascontiguousarray",
        )));
    }
    Ok(Header { dtype, shape, length: 8 + width + length })
}

impl Header {
    /// Bytes of one element, if the type is a plain one.
    fn item_bytes(&self) -> Option<u64> {
        self.dtype.get(2..)?.parse().ok().filter(|n| (1..=16).contains(n))
    }

    /// The shape as NumPy prints it.
    pub fn shape_text(&self) -> String {
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        format!("({}{})", sizes.join(", "), if sizes.len() == 1 { "," } else { "" })
    }

    fn read_raw(&self, reader: &mut dyn Read, what: &str) -> Result<Vec<u8>> {
        let claim = format!("the header says {} of {}", self.shape_text(), self.dtype);
        let bytes = self
            .item_bytes()
            .and_then(|item| self.shape.iter().try_fold(item, |n, &s| n.checked_mul(s as u64)))
            .ok_or_else(|| Error::Data(format!("{what}: {claim}, which no file can hold")))?;
        file::read_body(reader, what, self.length, bytes, &claim)
    }

    /// The values of a uint8 array.
    pub fn read_u8(&self, reader: &mut dyn Read, what: &str) -> Result<Vec<u8>> {
        if !self.dtype.ends_with("u1") {
            return Err(Error::Data(format!(
                "{what}: the elements are {}, and uint8 (|u1) is needed; save images as bytes 0 to 255",
                self.dtype,
            )));
        }
        self.read_raw(reader, what)
    }

    /// The values of an array of any integer type.
    pub fn read_integers(&self, reader: &mut dyn Read, what: &str) -> Result<Vec<i128>> {
        let (order, rest) = self.dtype.split_at_checked(1).unwrap_or(("", ""));
        let (kind, item) = rest.split_at_checked(1).unwrap_or(("", ""));
        let item: usize = item.parse().unwrap_or(0);
        if !matches!(order, "<" | ">" | "|" | "=") || !matches!(kind, "i" | "u") || !matches!(item, 1 | 2 | 4 | 8) {
            return Err(Error::Data(format!("{what}: the elements are {}, and integers are needed", self.dtype)));
        }
        let bytes = self.read_raw(reader, what)?;
        Ok(bytes
            .chunks_exact(item)
            .map(|chunk| {
                let mut value = 0u64;
                for i in 0..item {
                    let byte = chunk[if order == ">" { i } else { item - 1 - i }];
                    value = value << 8 | u64::from(byte);
                }
                let unused = 64 - 8 * item as u32;
                if kind == "i" { i128::from((value << unused) as i64 >> unused) } else { i128::from(value) }
            })
            .collect())
    }
}

/// `{'descr': '<i8', 'fortran_order': False, 'shape': (5000,), }` in any order; `None` when anything else is found.
fn parse_dictionary(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let (mut dtype, mut fortran, mut shape) = (None, None, None);
    while !rest.starts_with('}') {
        let (key, after) = quoted(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        match key {
            "descr" => {
                let (value, after) = quoted(rest)?;
                (dtype, rest) = (Some(value.to_string()), after);
            }
            "fortran_order" => {
                let value = rest.starts_with("True");
                rest = rest.strip_prefix(if value { "True" } else { "False" })?;
                fortran = Some(value);
            }
            "shape" => {
                let (inside, after) = rest.strip_prefix('(')?.split_once(')')?;
                let sizes = inside.split(',').map(str::trim).filter(|s| !s.is_empty());
                shape = Some(sizes.map(|s| s.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()?);
                rest = after;
            }
            _ => return None,
        }
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((dtype?, fortran?, shape?))
}

/// A quoted text at the start, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    text[1..].split_once(quote)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An `.npy` file of version `major`.
    pub fn npy(major: u8, dictionary: &str, body: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY".to_vec();
        out.extend([major, 0]);
        if major == 1 {
            out.extend((dictionary.len() as u16).to_le_bytes());
        } else {
            out.extend((dictionary.len() as u32).to_le_bytes());
        }
        out.extend(dictionary.as_bytes());
        out.extend(body);
        out
    }

    fn integers(file: &[u8]) -> Result<Vec<i128>> {
        let mut reader = file;
        read_header(&mut reader, "a.npy")?.read_integers(&mut reader, "a.npy")
    }

    #[test]
    fn integer_types_of_all_sizes_and_orders() {
        let file = |dtype: &str, n: usize, body: &[u8]| {
            npy(1, &format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({n},), }}      \n"), body)
        };
        assert_eq!(integers(&file("|i1", 2, &[0xff, 5])).unwrap(), [-1, 5]);
        assert_eq!(integers(&file("|u1", 2, &[0xff, 5])).unwrap(), [255, 5]);
        assert_eq!(integers(&file("<i2", 1, &[0xfe, 0xff])).unwrap(), [-2]);
        assert_eq!(integers(&file(">u2", 1, &[1, 2])).unwrap(), [258]);
        assert_eq!(integers(&file(">i4", 1, &[0, 0, 1, 0])).unwrap(), [256]);
        assert_eq!(integers(&file("<i8", 1, &[7, 0, 0, 0, 0, 0, 0, 0x80])).unwrap(), [i128::from(i64::MIN) + 7]);
        assert_eq!(integers(&file("<u8", 1, &[0xff; 8])).unwrap(), [i128::from(u64::MAX)]);
        let error = integers(&file("<f4", 1, &[0; 4])).unwrap_err().to_string();
        assert!(error.contains("a.npy") && error.contains("<f4"), "{error}");
    }

    #[test]
    fn versions_and_order_of_keys() {
        let text = "{\"shape\": (2, 1), 'fortran_order':False,'descr':'<u2'}";
        for major in [1, 2, 3] {
            assert_eq!(integers(&npy(major, text, &[1, 0, 2, 0])).unwrap(), [1, 2]);
        }
        let error = integers(&npy(4, text, &[])).unwrap_err().to_string();
        assert!(error.contains("version 4"), "{error}");
    }

    #[test]
    fn hostile_headers_are_refused() {
        let header = |shape: &str| format!("{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}}}");
        let cases = [
            (npy(1, &header("(4000000000000,)"), &[0; 16]), "32000000000077"),
            (npy(1, &header("(9999999999, 9999999999, 9999)"), &[]), "no file can hold"),
            (npy(1, &header("(-1,)"), &[]), "not understood"),
            (npy(1, &header("(2,)"), &[0; 15]), "truncated"),
            (npy(1, &header("(2,)"), &[0; 17]), "too many"),
            (npy(1, "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}", &[]), "not understood"),
            (npy(1, "{'descr': '<i8', 'fortran_order': True, 'shape': (2, 2)}", &[0; 32]), "Fortran"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xffxx".to_vec(), "4294967295"),
            (b"\x93NUMPY\x01\x00\x40\x00{'des".to_vec(), "64 bytes"),
            (b"PK\x03\x04 no array".to_vec(), "not an .npy"),
            (b"\x93NU".to_vec(), "8 bytes"),
        ];
        for (file, part) in cases {
            let error = integers(&file).unwrap_err().to_string();
            assert!(error.contains("a.npy") && error.contains(part), "{part}: {error}");
        }
    }
}
