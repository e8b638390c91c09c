use super::{Collecting, LARGE_BYTES, Swept, Ticket};
use crate::copies::capture::Refusal;
use crate::sls::intake::Head;
use crate::worker::exchange::{Announced, Exchange, Parts};

fn exchange(project: u64) -> Exchange {
    announced(project, None)
}

fn announced(project: u64, length: Option<u64>) -> Exchange {
    let parts = Parts {
        rum: None,
        sentries: Vec::new(),
        sls: Some(Head {
            project,
            app: None,
            encoding: Vec::new(),
        }),
        announced: Announced {
            length,
            transfer_encoding: true,
        },
    };
    Exchange::new(parts, 100_000_000).unwrap()
}

fn begin(all: &mut Collecting, project: u64) -> Ticket {
    all.insert(exchange(project)).unwrap()
}

fn feed(all: &mut Collecting, ticket: Ticket, size: usize) -> Result<(), Refusal> {
    all.grows(ticket, size);
    all.push(ticket, size, usize::MAX, |body| {
        body.resize(body.len() + size, b'x');
        Some(())
    })
}

/// Time passes in pulses, with a sweep after each: the projects that are given up, and when.
fn pass(all: &mut Collecting, seconds: u64) -> Vec<(u64, u64)> {
    let mut given_up = Vec::new();
    for _ in 0..seconds {
        all.pass(1_000);
        loop {
            match all.sweep() {
                Swept::Slow(exchange) => given_up.push((exchange.wanted().project, all.now)),
                Swept::Kept => {}
                Swept::Nothing => break,
            }
        }
    }
    given_up
}

/// The first time that passes after a beginning was before it.
fn started() -> Collecting {
    let mut all = Collecting::default();
    let first = begin(&mut all, 0);
    all.pass(0);
    begin(&mut all, 1);
    all.remove(first);
    all
}

#[test]
fn what_is_open_is_charged_and_what_is_over_is_not() {
    let mut all = Collecting::default();
    let (a, b) = (begin(&mut all, 1), begin(&mut all, 2));
    let empty = all.get(a).unwrap().held();
    assert_eq!(
        (all.len(), all.bytes(), all.new_bytes()),
        (2, 2 * empty, 2 * empty)
    );
    feed(&mut all, a, 10_000).unwrap();
    assert_eq!(all.bytes(), 2 * empty + 10_000);
    assert_eq!(all.remove(a).unwrap().held(), empty + 10_000);
    assert_eq!((all.len(), all.bytes()), (1, empty));
    // Its ticket opens nothing any more, whoever has the place now.
    let c = begin(&mut all, 3);
    assert!(all.get(a).is_none() && all.remove(a).is_none());
    assert_eq!(feed(&mut all, a, 1), Err(Refusal::Unreadable));
    assert_eq!(all.get(c).unwrap().wanted().project, 3);
    all.remove(b);
    all.remove(c);
    assert_eq!((all.len(), all.bytes(), all.new_bytes()), (0, 0, 0));
    assert_eq!(all.next_pulse(), None);
}

#[test]
fn silence_is_given_up_after_30_s_and_not_before() {
    let mut all = started();
    assert_eq!(all.next_pulse(), Some(1_000));
    assert_eq!(pass(&mut all, 30), []);
    assert_eq!(pass(&mut all, 3), [(1, 31_000)]);
    assert_eq!((all.len(), all.bytes(), all.new_bytes()), (0, 0, 0));
}

#[test]
fn a_slow_one_is_given_up_and_one_that_is_fast_enough_never() {
    let mut all = started();
    let (slow, enough) = (begin(&mut all, 2), begin(&mut all, 3));
    let mut given_up = Vec::new();
    for _ in 0..200 {
        let _ = feed(&mut all, slow, 900);
        feed(&mut all, enough, 1_100).unwrap();
        given_up.extend(pass(&mut all, 1));
    }
    let projects: Vec<u64> = given_up.iter().map(|(project, _)| *project).collect();
    assert_eq!(projects, [1, 2]);
    assert!(
        given_up.iter().all(|(_, at)| (31_000..40_000).contains(at)),
        "{given_up:?}"
    );
}

#[test]
fn a_clock_that_leaps_makes_nobody_slow() {
    let mut all = started();
    for _ in 0..10 {
        all.pass(3_600_000);
        assert!(!matches!(all.sweep(), Swept::Slow(_)));
    }
    // What passed before the first one began is not its time.
    let mut all = Collecting::default();
    begin(&mut all, 1);
    all.pass(2_000);
    assert_eq!(all.now, 0);
}

#[test]
fn the_slowest_gives_way_whatever_it_has_got() {
    let mut all = Collecting::default();
    let tickets: Vec<Ticket> = (0..5).map(|project| begin(&mut all, project)).collect();
    // The first was the fastest, until it stopped.
    feed(&mut all, tickets[0], 3_000_000).unwrap();
    for _ in 0..20 {
        for (ticket, size) in tickets[1..].iter().zip([5_000, 500_000, 50_000, 2_000]) {
            feed(&mut all, *ticket, size).unwrap();
        }
        assert_eq!(pass(&mut all, 1), []);
    }
    for expected in [tickets[4], tickets[1], tickets[0], tickets[3], tickets[2]] {
        let slowest = all.slower_than(None, true).unwrap();
        assert_eq!(slowest, expected);
        all.remove(slowest);
    }
    assert_eq!(all.slower_than(None, true), None);
}

#[test]
fn a_newcomer_does_not_give_way_and_one_that_grows_faster_neither() {
    let mut all = Collecting::default();
    let old = begin(&mut all, 1);
    for _ in 0..10 {
        feed(&mut all, old, 100_000).unwrap();
        pass(&mut all, 1);
    }
    let newcomer = begin(&mut all, 2);
    assert_eq!(all.slower_than(Some(newcomer), true), Some(old));
    assert_eq!(
        all.slower_than(Some(newcomer), false),
        None,
        "it grows well"
    );
    assert_eq!(
        all.slower_than(Some(old), true),
        None,
        "never itself, and no newcomer"
    );
    // Large, it is none any more.
    feed(&mut all, newcomer, LARGE_BYTES + 1).unwrap();
    assert_eq!(all.slower_than(Some(old), true), Some(newcomer));
    assert_eq!(all.slower_than(Some(newcomer), true), None);
    // Nor when it has been looked at, but it still makes others give way.
    let small = begin(&mut all, 3);
    feed(&mut all, small, 10).unwrap();
    feed(&mut all, old, 10_000).unwrap();
    pass(&mut all, 3);
    assert_eq!(all.slower_than(Some(old), true), Some(small));
    assert!(all.slower_than(Some(small), true).is_some());
    // Until it is old.
    for _ in 0..40 {
        feed(&mut all, old, 100_000).unwrap();
        feed(&mut all, newcomer, 100_000).unwrap();
        feed(&mut all, small, 2_000).unwrap();
        pass(&mut all, 1);
    }
    assert_eq!(all.slower_than(Some(small), true), None);
}

#[test]
fn one_that_says_it_is_large_is_no_newcomer() {
    let mut all = Collecting::default();
    let length = u64::try_from(LARGE_BYTES).unwrap();
    let small = all.insert(announced(1, Some(length))).unwrap();
    assert_eq!(
        (all.slower_than(None, true), all.new_bytes()),
        (None, all.bytes())
    );
    let large = all.insert(announced(2, Some(length + 1))).unwrap();
    assert_eq!(all.slower_than(Some(small), true), Some(large));
    assert_eq!(all.slower_than(Some(large), true), None);
}

/// However many there are, and however stale their places.
#[test]
fn among_thousands_one_of_the_slow_is_found_in_a_few_looks() {
    let mut all = Collecting::default();
    let fast: Vec<Ticket> = (0..20).map(|project| begin(&mut all, project)).collect();
    let slow: Vec<Ticket> = (0..5_000).map(|n| begin(&mut all, 1_000 + n)).collect();
    for second in 0..20 {
        for ticket in &fast {
            feed(&mut all, *ticket, 100_000).unwrap();
        }
        for (n, ticket) in slow.iter().enumerate() {
            if n % 20 == second {
                feed(&mut all, *ticket, 1).unwrap();
            }
        }
        pass(&mut all, 1);
    }
    for _ in 0..5_000 {
        let slowest = all.slower_than(None, false).unwrap();
        assert!(all.remove(slowest).unwrap().wanted().project >= 1_000);
    }
    assert_eq!(all.len(), 20);
    assert_eq!(all.slower_than(None, false), None);
}

#[test]
fn a_sweep_that_is_behind_comes_again_soon() {
    let mut all = Collecting::default();
    for project in 0..1_000 {
        begin(&mut all, project);
    }
    all.pass(0);
    let mut given_up = 0;
    for _ in 0..40 {
        all.pass(1_000);
        for _ in 0..100 {
            given_up += usize::from(matches!(all.sweep(), Swept::Slow(_)));
        }
        assert!(matches!(all.next_pulse(), Some(10 | 1_000)) || all.len() == 0);
    }
    assert!(given_up > 0, "they are not starved");
    pass(&mut all, 1);
    assert_eq!(all.len(), 0);
}
