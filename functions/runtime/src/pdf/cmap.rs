//! How much a font's character map asks for.

/// Most entries a font's character map may have.
const CMAP_LIMIT: u64 = 1 << 18;

/// Whether a stream is no character map, or one whose ranges are few enough to be written out, as
/// pdf-extract does: `<0000> <FFFFFFFF>` alone would fill the memory.
pub(super) fn bounded_cmap(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let mut entries: u64 = 0;
    for kind in ["beginbfrange", "begincidrange"] {
        for section in text.split(kind).skip(1) {
            let section = section.split("end").next().unwrap_or_default();
            match range_entries(section) {
                Some(count) => entries = entries.saturating_add(count),
                None => return false,
            }
        }
    }
    entries <= CMAP_LIMIT
}

/// Entries of a section of ranges, each `<first> <last>` and a target; `None` for any other form.
fn range_entries(section: &str) -> Option<u64> {
    let mut entries: u64 = 0;
    let mut rest = section.trim_start();
    while !rest.is_empty() {
        let (first, after) = code(rest)?;
        let (last, after) = code(after)?;
        entries = entries.saturating_add(last.checked_sub(first)?.saturating_add(1));
        let after = after.trim_start();
        let end = match after.chars().next()? {
            '<' => after.find('>')? + 1,
            '[' => after.find(']')? + 1,
            digit if digit.is_ascii_digit() => after
                .find(|end: char| !end.is_ascii_digit())
                .unwrap_or(after.len()),
            _ => return None,
        };
        rest = after[end..].trim_start();
    }
    Some(entries)
}

/// The hexadecimal code a text begins with, and what comes after it.
fn code(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.trim_start().strip_prefix('<')?.split_once('>')?;
    let digits: String = digits.split_whitespace().collect();
    Some((u64::from_str_radix(&digits, 16).ok()?, rest))
}
