//! What `src/manual/scale.md` shows is what the benches measured. `UPDATE=1` writes its first table.

use fleet::page::{table, with};
use fleet::sizing::{self, Measured};

const PAGE: &str = include_str!("../../../src/manual/scale.md");
const RESULTS: &str = include_str!("../results.md");
const SLS: &str = include_str!("../../sls/results.md");

#[test]
fn the_page_has_the_tables_of_the_results() {
    let measured = Measured::read(SLS).expect("a row of 8 KiB");
    if std::env::var_os("UPDATE").is_some() {
        let page = with(PAGE, "sizes", &sizing::table(&measured)).expect("a place for the sizes");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/manual/scale.md");
        std::fs::write(path, page).expect("the page can be written");
        return;
    }
    assert_eq!(
        table(PAGE, "sizes"),
        Some(sizing::table(&measured).as_str()),
        "run make bench-sls"
    );
    let outages = table(PAGE, "outages").expect("a table of outages");
    assert!(RESULTS.ends_with(outages), "run make fleet");
}
