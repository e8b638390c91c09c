//! Tables in a page that is written by hand, between two comments.

/// The page with another table.
#[must_use]
pub fn with(page: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = marks(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

/// The table that a page has.
#[must_use]
pub fn table<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (begin, end) = marks(name);
    let (_, rest) = page.split_once(&begin)?;
    Some(rest.split_once(&end)?.0.trim_start_matches('\n'))
}

fn marks(name: &str) -> (String, String) {
    let command = if name == "sizes" {
        "bench-sls"
    } else {
        "fleet"
    };
    (
        format!("<!-- {name}: written by make {command} -->"),
        format!("<!-- {name}: end -->"),
    )
}
