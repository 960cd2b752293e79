//! The marker structure of a JPEG (ITU T.81, annex B): kind of coding, and whether the picture is all there.
//!
//! The decoder fills what is missing with grey and says nothing, so the end is looked for here. Bytes after the first
//! picture's end marker do not matter (trailing data, the further pictures of an MPO file).

/// What the markers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Markers {
    /// Coded in several scans (progressive, or one per component): the decoder keeps all coefficients in memory.
    pub(super) several_scans: bool,
    /// Colour components, 1 to 4; 0 where no frame header was found.
    pub(super) components: u8,
    /// Whether entropy-coded data and an end-of-image marker follow the headers.
    pub(super) complete: bool,
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

/// How far [`markers`] reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// To the first scan.
    Headers,
    /// To the end of the picture.
    All,
}

/// Reads the markers of the first picture in `bytes`.
pub(super) fn markers(bytes: &[u8], depth: Depth) -> Markers {
    let mut found = Markers { several_scans: false, components: 0, complete: false };
    let mut at = 2;
    let mut scans = 0;
    while let Some((marker, next)) = next_marker(bytes, at) {
        at = next;
        match marker {
            EOI => {
                found.complete = scans > 0;
                return found;
            }
            SOI | 0x01 | 0xd0..=0xd7 => continue,
            SOS => {
                scans += 1;
                found.several_scans |= bytes.get(at + 2).is_some_and(|&in_scan| in_scan < found.components);
                if depth == Depth::Headers {
                    return found;
                }
            }
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) && found.components == 0 => {
                found.several_scans = matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
                found.components = bytes.get(at + 7).copied().unwrap_or(0);
            }
            _ => {}
        }
        let Some(length) = bytes.get(at..at + 2) else { break };
        at += usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    found
}

/// The next marker at or after `at` and the place behind it. Skips entropy-coded data (in which `ff 00` is a data
/// byte) and stray bytes alike.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xff)? + 1;
        match *bytes.get(at)? {
            0x00 | 0xff => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &[u8] = b"\xff\xd8\xff\xe1\0\x06\xff\xd9ab\xff\xc2\0\x08\x08\0\x01\0\x01\x03\
        \xff\xda\0\x02data\xff\0\xff\xd0more\xff\xff\xd9\xff\xd8";

    #[test]
    fn an_end_marker_inside_a_segment_is_not_the_end() {
        let found = markers(TINY, Depth::All);
        assert_eq!(found, Markers { several_scans: true, components: 3, complete: true });
        let end = TINY.len() - 2;
        assert!(markers(&TINY[..end], Depth::All).complete);
        for cut in 0..end {
            assert!(!markers(&TINY[..cut], Depth::All).complete, "{cut}");
        }
    }

    #[test]
    fn headers_are_enough_for_the_kind_of_coding() {
        assert!(markers(&TINY[..24], Depth::Headers).several_scans);
    }
}
