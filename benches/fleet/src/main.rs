//! `make fleet`: runs every scenario, and writes the tables and the plots.
//!
//! ```text
//! fleet COMMIT            writes benches/fleet/results.md, *.svg, and the table of outages in src/manual/scale.md
//! fleet --quick [NAME]    a tenth of the fleet: prints, and writes nothing
//! ```

use fleet::fleet::{Fleet, Size};
use fleet::report::{self, Run};
use fleet::{page, plot, scenario, summary};
use std::error::Error;
use std::fs;
use std::path::Path;

const SIZE: Size = Size {
    workers: 1_000,
    quiet: 0.2,
    before_ms: 60_000,
    outage_ms: 600_000,
    after_ms: 300_000,
    seed: 1,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or_else(|| "unknown".to_owned());
    let quick = first == "--quick";
    let only = arguments.next().filter(|_| quick);
    let size = Size {
        workers: if quick {
            SIZE.workers / 10
        } else {
            SIZE.workers
        },
        ..SIZE
    };
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut runs = Vec::new();
    for scenario in scenario::all() {
        if only.as_deref().is_some_and(|only| only != scenario.name) {
            continue;
        }
        let (edges, measure) = Fleet::run(&scenario, size);
        if !quick {
            let title = format!("{}: {}", scenario.name, scenario.title);
            let picture = plot::svg(&title, &measure, size);
            fs::write(own.join(format!("{}.svg", scenario.name)), picture)?;
        }
        let legs = summary::of(&edges, &measure, size);
        eprintln!("  {}", scenario.name);
        runs.push(Run { scenario, legs });
    }
    let outcomes = report::outcomes(&runs);
    println!("{outcomes}");
    if quick {
        return Ok(());
    }
    fs::write(own.join("results.md"), report::results(&runs, size, &first))?;
    let path = own.join("../../src/manual/scale.md");
    let text = fs::read_to_string(&path)?;
    let text = page::with(&text, "outages", &outcomes).ok_or("no place for the outages")?;
    fs::write(path, text)?;
    Ok(())
}
