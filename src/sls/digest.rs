//! Hashes and MACs of the SLS protocol, and how they are written. Content-MD5 is UPPER-case hex (not base64); all other hex
//! is lower case. The v1 signature is base64 with padding (manual: sls, "Headers of a write").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Content-MD5 of a body as sent: upper-case hex.
pub fn content_md5(wire: &[u8]) -> String {
    hex(&Md5::digest(wire), UPPER)
}

/// `x-log-content-sha256` of a body as sent, even an empty one: lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes), LOWER)
}

/// HMAC-SHA1 in base64: the v1 signature.
pub fn hmac_sha1_base64(key: &[u8], message: &[u8]) -> String {
    // HMAC accepts keys of any length: the error cannot happen, and an empty signature would be refused.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(message);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// HMAC-SHA256: one link of the v4 key chain.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // As above: the error cannot happen.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Lower-case hex.
pub fn hex_lower(bytes: &[u8]) -> String {
    hex(bytes, LOWER)
}

/// Upper-case hex.
pub(super) fn hex_upper(bytes: &[u8]) -> String {
    hex(bytes, UPPER)
}

/// Appends `%XX` with upper-case digits.
pub(super) fn push_percent(out: &mut String, byte: u8) {
    out.push('%');
    push_hex(out, byte, UPPER);
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        push_hex(&mut out, *byte, digits);
    }
    out
}

fn push_hex(out: &mut String, byte: u8, digits: &[u8; 16]) {
    for nibble in [byte >> 4, byte & 0x0F] {
        if let Some(digit) = digits.get(usize::from(nibble)) {
            out.push(char::from(*digit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert_eq!(content_md5(b""), "D41D8CD98F00B204E9800998ECF8427E");
        assert_eq!(
            sha256_hex(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(hex_lower(&[0x00, 0xAF, 0xFF]), "00afff");
        let mut out = String::new();
        push_percent(&mut out, 0xE4);
        assert_eq!(out, "%E4");
    }

    #[test]
    fn macs_agree_with_rfc_2202_and_rfc_4231() {
        assert_eq!(
            hmac_sha1_base64(b"Jefe", b"what do ya want for nothing?"),
            "7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
        assert_eq!(
            hex_lower(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        // A key longer than the block is hashed first.
        assert_eq!(
            hex_lower(&hmac_sha256(
                &[0xAA; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
