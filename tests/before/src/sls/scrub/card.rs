//! Card numbers: 13 to 19 digits that pass Luhn's check, in groups separated by single spaces or dashes or in none,
//! beginning as an issuer's numbers do (ISO/IEC 7812: 3 to 6, the newer 2221 to 2720 of Mastercard, 81 and 82 of UnionPay
//! and RuPay). Without the last rule every tenth time in milliseconds (17...) would be a card.

/// Digits of a card number.
const MIN: usize = 13;
const MAX: usize = 19;

/// Finds the first card number in a run of digits with single separators between them: its start and end. A number
/// begins and ends with a group.
pub(super) fn find(run: &str) -> Option<(usize, usize)> {
    let mut start = 0_usize;
    loop {
        let rest = run.get(start..)?;
        if let Some(length) = prefix(rest) {
            return Some((start, start.saturating_add(length)));
        }
        let separator = rest.find([' ', '-'])?;
        start = start.saturating_add(separator).saturating_add(1);
    }
}

/// Whether a text is a card number and nothing else.
pub(super) fn is_card(text: &str) -> bool {
    prefix(text) == Some(text.len())
}

/// The length of the longest card number that a text begins with.
fn prefix(text: &str) -> Option<usize> {
    let mut digits = [0_u8; MAX];
    let mut count = 0_usize;
    let mut longest = None;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                let Some(digit) = digits.get_mut(count) else {
                    return longest;
                };
                *digit = byte.wrapping_sub(b'0');
                count = count.saturating_add(1);
                if count == 4 && !issuer(&digits) {
                    return None;
                }
            }
            b' ' | b'-' if ends(&digits, count) => longest = Some(index),
            b' ' | b'-' => {}
            _ => return longest,
        }
    }
    if ends(&digits, count) {
        Some(text.len())
    } else {
        longest
    }
}

fn ends(digits: &[u8; MAX], count: usize) -> bool {
    count >= MIN && digits.get(..count).is_some_and(luhn)
}

fn issuer(digits: &[u8; MAX]) -> bool {
    let prefix = digits.iter().take(4).fold(0_u32, |prefix, digit| {
        prefix.saturating_mul(10).saturating_add(u32::from(*digit))
    });
    matches!(prefix, 2221..=2720 | 3000..=6999 | 8100..=8299)
}

fn luhn(digits: &[u8]) -> bool {
    let sum = digits
        .iter()
        .rev()
        .enumerate()
        .fold(0_u32, |sum, (index, digit)| {
            let digit = u32::from(*digit);
            let value = match (index % 2, digit) {
                (1, 5..) => digit.saturating_mul(2).saturating_sub(9),
                (1, _) => digit.saturating_mul(2),
                _ => digit,
            };
            sum.saturating_add(value)
        });
    sum % 10 == 0
}
