//! Mode `tee`, whole: any order of events, on either host, with one leg or both, ends every exchange and every log in one
//! outcome, within the budgets, and shows no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::events::{come_to_rest, run};
use oracles::worker::JudgedWorker;
use sentry_edge_mirror_fuzz::script::Script;

fuzz_target!(|script: Script| {
    let mut worker = JudgedWorker::new(script.rules);
    run(&mut worker, &script.events);
    let roomy = script.rules.is_roomy();
    if !worker.is_done() {
        if !roomy {
            worker.clocks.jump_beyond_everything();
        }
        come_to_rest(&mut worker);
    }
    let ended = worker.is_done();
    if ended {
        worker.delete();
    }
    worker.check_end(roomy && !ended);
});
