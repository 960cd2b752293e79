//! Ids of images: the first eight bytes of the content's BLAKE3, as sixteen hexadecimal digits.

/// The id of a content, as a number.
pub fn id_of(content: &[u8; 32]) -> u64 {
    content[..8].iter().fold(0, |id, &byte| id << 8 | u64::from(byte))
}

/// The number of an id as it is written; none where the text is no id.
pub fn parse_id(text: &str) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_id = text.len() == 16 && text.bytes().all(is_digit);
    is_id.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_sixteen_hexadecimal_digits_and_nothing_else() {
        let content = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(4);
        assert_eq!(parse_id("0123456789abcdef"), Some(id_of(&content.try_into().unwrap())));
        for text in [
            "",
            "0123456789abcde",
            "0123456789ABCDEF",
            "+123456789abcdef",
            "0123456789abcdef0",
            "../../etc/passwd",
        ] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}
