//! What `src/manual/scale.md` shows is what the benches measured.

use fleet::page::table;
use fleet::sizing::{self, Measured};

const PAGE: &str = include_str!("../../../src/manual/scale.md");
const RESULTS: &str = include_str!("../results.md");
const SLS: &str = include_str!("../../sls/results.md");

#[test]
fn the_page_has_the_tables_of_the_results() {
    let measured = Measured::read(SLS).expect("a row of 8 KiB");
    assert_eq!(
        table(PAGE, "sizes"),
        Some(sizing::table(&measured).as_str()),
        "run make fleet"
    );
    let outages = table(PAGE, "outages").expect("a table of outages");
    assert!(RESULTS.ends_with(outages), "run make fleet");
}
