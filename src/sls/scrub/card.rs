//! Card numbers: 13 to 19 digits that pass Luhn's check, ungrouped or in groups separated by single spaces or dashes, that
//! begin as an issuer's numbers do (ISO/IEC 7812: 3 to 6, the newer 2221 to 2720 of Mastercard, 81 and 82 of UnionPay and
//! RuPay). Without the last rule, one in ten times in milliseconds (17...) would be a card.

/// Digits of a card number.
const MIN: usize = 13;
const MAX: usize = 19;

/// How many bytes are looked at: the digits and what is between them.
pub(super) const LONGEST: usize = 37;

/// Whether a text is a card number and nothing else.
pub(super) fn is_card(text: &str) -> bool {
    text.len() <= LONGEST && longest(text.as_bytes()) == Some(text.len())
}

/// The length of the longest card number that begins with the first byte and ends with a group.
pub(super) fn longest(bytes: &[u8]) -> Option<usize> {
    let mut sum = Luhn::default();
    let mut prefix = 0_u32;
    let mut longest = None;
    let mut previous = b' ';
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' if sum.count < MAX => {
                let digit = u32::from(byte.wrapping_sub(b'0'));
                sum.add(digit);
                prefix = prefix.saturating_mul(10).saturating_add(digit);
                if sum.count == 4 && !issuer(prefix) {
                    return None;
                }
            }
            b' ' | b'-' if previous.is_ascii_digit() => {
                if sum.is_card() {
                    longest = Some(index);
                }
            }
            _ => {
                // Digits that continue as something else are not a group.
                let group = previous.is_ascii_digit() && !byte.is_ascii_alphanumeric();
                if group && sum.is_card() {
                    longest = Some(index);
                }
                return longest;
            }
        }
        previous = *byte;
    }
    if previous.is_ascii_digit() && sum.is_card() {
        longest = Some(bytes.len());
    }
    longest
}

/// Luhn's sum of digits that arrive one by one: which of them are doubled depends on how many there are.
#[derive(Default)]
struct Luhn {
    /// With the first, third, ... digit doubled, and with the others.
    sums: (u32, u32),
    count: usize,
}

impl Luhn {
    fn add(&mut self, digit: u32) {
        let double = digit.saturating_mul(2);
        let double = if double > 9 {
            double.saturating_sub(9)
        } else {
            double
        };
        let (odd, even) = &mut self.sums;
        if self.count.is_multiple_of(2) {
            *odd = odd.saturating_add(double);
            *even = even.saturating_add(digit);
        } else {
            *odd = odd.saturating_add(digit);
            *even = even.saturating_add(double);
        }
        self.count = self.count.saturating_add(1);
    }

    fn is_card(&self) -> bool {
        // The last but one is doubled.
        let (odd, even) = self.sums;
        let sum = if self.count.is_multiple_of(2) {
            odd
        } else {
            even
        };
        (MIN..=MAX).contains(&self.count) && sum.is_multiple_of(10)
    }
}

/// Whether an issuer's numbers begin with these four digits.
fn issuer(prefix: u32) -> bool {
    matches!(prefix, 2221..=2720 | 3000..=6999 | 8100..=8299)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_numbers_of_the_issuers() {
        for card in [
            "4111111111111111",
            "4222222222222",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "2223003122003222",
            "3782 822463 10005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "6759649826438453",
        ] {
            assert!(is_card(card), "{card}");
            assert_eq!(longest(card.as_bytes()), Some(card.len()));
        }
        for other in [
            "4111111111111112",
            "1795232076716",
            "411111111111",
            "41111111111111111111",
            "",
            "0000000000000000",
        ] {
            assert!(!is_card(other), "{other}");
        }
    }

    #[test]
    fn the_longest_counts() {
        // Its first thirteen digits are a number too.
        let card = "4222 2222 2222 2 00";
        assert!(is_card("4222222222222") && is_card("422222222222200"));
        assert_eq!(longest(card.as_bytes()), Some(card.len()));
    }

    #[test]
    fn what_follows_counts() {
        for (text, expected) in [
            ("4111 1111 1111 1111 7", Some(19)),
            ("4111 1111 1111 1111  7", Some(19)),
            ("4111111111111111.", Some(16)),
            ("4111111111111111x", None),
            ("4222222222222 1x", Some(13)),
            ("4111  1111 1111 1111", None),
            ("4111-1111 1111-1111\u{5361}", Some(19)),
        ] {
            assert_eq!(longest(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(longest(b"2026-11-21 03 34 36"), None);
    }
}
