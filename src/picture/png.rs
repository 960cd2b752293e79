//! The chunk structure of a PNG, as far as it is needed beside the decoder: size, and chunks behind the pixels.

/// Width and height in pixels that the header claims.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let ([0, 0, 0, 13, b'I', b'H', b'D', b'R'], sides) = bytes.get(8..24)?.split_first_chunk::<8>()? else {
        return None;
    };
    let (width, height) = sides.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(height.try_into().ok()?)))
}

/// The data of the first chunk of this kind, wherever it stands (the decoder only sees those before the pixels).
pub(super) fn chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = tail.get(4..length.checked_add(4)?)?;
        if tail.starts_with(kind) {
            return Some(data);
        }
        rest = tail.get(length.checked_add(8)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_chunk_is_found_and_a_lying_length_is_not_followed() {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        png.extend_from_slice(b"\0\0\0\x02IDATab____\0\0\0\x03eXIfxyz____");
        assert_eq!(chunk(&png, b"eXIf"), Some(&b"xyz"[..]));
        assert_eq!(chunk(&png, b"none"), None);
        let lying = b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDATab";
        assert_eq!(chunk(lying, b"eXIf"), None);
    }
}
