//! Envelopes that are put together anew.

use super::{copy_with, gzip, outcome};
use crate::copies::review::Outcome;
use crate::copies::rules::{Items, Rules, Sample};
use crate::sentry::envelope::Envelope;
use std::rc::Rc;

fn only(types: &[&str]) -> Items {
    Items::Only(types.iter().map(|ty| (*ty).to_owned()).collect())
}

fn but(types: &[&str]) -> Items {
    Items::Not(types.iter().map(|ty| (*ty).to_owned()).collect())
}

/// What becomes of an envelope, not encoded and encoded, whatever the slices are.
fn sorted(items: Items, sample: f64, body: &[u8]) -> Outcome {
    let rules = Rules {
        items: Some(Rc::new(items)),
        sample: Sample::new(sample).unwrap(),
        ..Rules::default()
    };
    let plain = outcome(&copy_with(rules.clone(), "", body), 1_000_000).0;
    for slice in [1, 2_500, 1_000_000] {
        let packed = copy_with(rules.clone(), "gzip", &gzip(body));
        assert_eq!(outcome(&packed, slice).0, plain);
        assert_eq!(
            outcome(&copy_with(rules.clone(), "identity", body), slice).0,
            plain
        );
    }
    plain
}

fn becomes(items: Items, body: &str) -> Option<String> {
    match sorted(items, 1.0, body.as_bytes()) {
        Outcome::Goes => Some(body.to_owned()),
        Outcome::Becomes(body) => Some(String::from_utf8(body).unwrap()),
        Outcome::NoItems => None,
        outcome => panic!("{outcome:?}"),
    }
}

const MIXED: &str = "{\"event_id\":\"771a43a4192642f0b136d5159a501700\"}\n\
    {\"type\":\"event\",\"length\":2}\n{}\n\
    {\"type\":\"attachment\",\"length\":5}\na\nb\nc\n\
    {\"type\":\"session\"}\n{\"sid\":1}\n";

#[test]
fn what_does_not_go_is_left_out_and_the_rest_is_as_it_was() {
    let header = "{\"event_id\":\"771a43a4192642f0b136d5159a501700\"}\n";
    let event = "{\"type\":\"event\",\"length\":2}\n{}\n";
    let attachment = "{\"type\":\"attachment\",\"length\":5}\na\nb\nc\n";
    let session = "{\"type\":\"session\"}\n{\"sid\":1}\n";
    for (items, parts) in [
        (only(&["event"]), vec![event]),
        (but(&["event"]), vec![attachment, session]),
        (but(&["attachment"]), vec![event, session]),
        (only(&["session", "attachment"]), vec![attachment, session]),
        (
            only(&["event", "attachment", "session"]),
            vec![event, attachment, session],
        ),
        (but(&["log"]), vec![event, attachment, session]),
    ] {
        let expected = [vec![header], parts].concat().concat();
        assert_eq!(becomes(items, MIXED).as_deref(), Some(expected.as_str()));
    }
    assert_eq!(becomes(only(&["log"]), MIXED), None);
    assert_eq!(
        becomes(but(&["event", "attachment", "session"]), MIXED),
        None
    );
}

#[test]
fn odd_envelopes() {
    // An empty one has nothing that stays.
    assert_eq!(becomes(only(&["event"]), "{}").as_deref(), Some("{}"));
    // However much space stands before a header.
    let spaces = " ".repeat(100_000);
    let body = format!("{spaces}{{}}\n{spaces}{{\"type\":\"a\"}}\nx\n{{\"type\":\"b\"}}\ny\n");
    let expected = format!("{spaces}{{}}\n{{\"type\":\"a\"}}\nx\n");
    assert_eq!(becomes(only(&["a"]), &body), Some(expected));
    // The last LF may be missing, space may stand before headers.
    let odd = " {}\n\n {\"type\":\"a\"}\nx\n\n{\n\"type\":\"b\",\"length\":1}\ny";
    let parts = becomes(only(&["b"]), odd);
    assert_eq!(
        parts.as_deref(),
        Some(" {}\n{\n\"type\":\"b\",\"length\":1}\ny\n")
    );
    let parts = becomes(only(&["a"]), odd);
    assert_eq!(parts.as_deref(), Some(" {}\n{\"type\":\"a\"}\nx\n"));
    for bad in [
        "",
        "{",
        "{}\n{}\n",
        "{}\n{\"type\":\"event\",\"length\":9}\nx\n",
    ] {
        assert_eq!(becomes(only(&["event"]), bad), None, "{bad}");
    }
    let rules = Rules {
        items: Some(Rc::new(but(&["log"]))),
        ..Rules::default()
    };
    for encoding in ["snappy", "gzip"] {
        let copy = copy_with(rules.clone(), encoding, MIXED.as_bytes());
        assert_eq!(outcome(&copy, 1_000_000).0, Outcome::NoItems);
    }
}

#[test]
fn the_sample_comes_first() {
    let body = MIXED.replace("session", "transaction");
    let out = |items: Items| sorted(items, 0.25, body.as_bytes());
    assert_eq!(out(but(&["event"])), Outcome::NotSampled);
    // Never sampled, and then sorted.
    let kept = sorted(but(&["event", "attachment"]), 0.25, MIXED.as_bytes());
    assert!(matches!(kept, Outcome::Becomes(_)));
}

#[test]
fn too_many_items_to_sort_are_none() {
    let many = format!(
        "{{}}\n{}",
        "{\"type\":\"a\"}\n\n{\"type\":\"b\"}\n\n".repeat(60_000)
    );
    let rules = Rules {
        items: Some(Rc::new(but(&["b"]))),
        ..Rules::default()
    };
    let copy = copy_with(rules, "", many.as_bytes());
    assert_eq!(outcome(&copy, 1_000_000).0, Outcome::NoItems);
}

// ---- scrubbing

fn scrubbed(items: Option<Items>, body: &str) -> Outcome {
    let rules = Rules {
        items: items.map(Rc::new),
        scrub: true,
        ..Rules::default()
    };
    let plain = outcome(&copy_with(rules.clone(), "", body.as_bytes()), 1_000_000).0;
    for slice in [1, 2_500] {
        let packed = copy_with(rules.clone(), "gzip", &gzip(body.as_bytes()));
        assert_eq!(outcome(&packed, slice).0, plain, "{body}");
    }
    plain
}

#[test]
fn a_scrubbed_item_has_its_new_length() {
    let attachment = "{\"type\":\"attachment\",\"length\":6}\nsecret\n";
    for (event, becomes) in [
        (
            "{\"length\" : 6 ,\"type\":\"event\"}\nsecret\n",
            "{\"length\" : 10 ,\"type\":\"event\"}\n[Filtered]\n",
        ),
        (
            "{\"type\":\"event\"}\na secret\n",
            "{\"type\":\"event\"}\na [Filtered]\n",
        ),
        (
            "{\"type\":\"event\",\"length\":null}\nsecret\n",
            "{\"type\":\"event\",\"length\":null}\n[Filtered]\n",
        ),
    ] {
        let body = format!("{{}}\n{event}{attachment}");
        let expected = format!("{{}}\n{becomes}{attachment}").into_bytes();
        assert_eq!(scrubbed(None, &body), Outcome::Becomes(expected));
        let expected = format!("{{}}\n{becomes}").into_bytes();
        let items = Some(but(&["attachment"]));
        assert_eq!(scrubbed(items, &body), Outcome::Becomes(expected));
    }
    // Nothing sensitive in what is looked into: as it came.
    for body in [
        format!("{{}}\n {attachment}"),
        format!("{{}}\n {{\"type\":\"event\"}}\nhello\n{attachment}"),
        "{}".to_owned(),
    ] {
        assert_eq!(scrubbed(None, &body), Outcome::Goes);
    }
}

#[test]
fn what_cannot_be_scrubbed_does_not_go() {
    for bad in ["", "no envelope", "{}\n{\"type\":\"event\"}\nno json\n"] {
        assert_eq!(scrubbed(None, bad), Outcome::Unscrubbable, "{bad}");
    }
    // A length that is written with an escape is found.
    let body = "{}\n{\"type\":\"event\",\"l\\u0065ngth\":6}\nsecret\n";
    let scrubbed_of = b"{}\n{\"type\":\"event\",\"l\\u0065ngth\":10}\n[Filtered]\n";
    assert_eq!(scrubbed(None, body), Outcome::Becomes(scrubbed_of.to_vec()));
    // But what stays behind need not be.
    let body = "{}\n{\"type\":\"event\"}\nno json\n{\"type\":\"log\"}\n{}\n";
    let left = b"{}\n{\"type\":\"log\"}\n{}\n".to_vec();
    assert_eq!(
        scrubbed(Some(but(&["event"])), body),
        Outcome::Becomes(left)
    );
}

proptest::proptest! {
    /// What is put together anew has the items that go, as they were, and the same header.
    #[test]
    fn a_new_envelope_parses_back(
        items in proptest::collection::vec(("[abc]", proptest::collection::vec(0_u8.., 0..40), proptest::bool::ANY), 0..8),
        named in proptest::collection::vec("[abc]", 0..3),
        not in proptest::bool::ANY,
    ) {
        let mut body = b"{\"event_id\":\"771a43a4192642f0b136d5159a501700\"}\n".to_vec();
        for (ty, payload, has_length) in &items {
            let has_length = *has_length || payload.contains(&b'\n');
            let length = if has_length { format!(",\"length\":{}", payload.len()) } else { String::new() };
            body.extend(format!("{{\"type\":\"{ty}\"{length}}}\n").as_bytes());
            body.extend(payload);
            body.push(b'\n');
        }
        let rule = if not { Items::Not(named.clone()) } else { Items::Only(named.clone()) };
        let goes: Vec<_> = items.iter().filter(|(ty, ..)| named.contains(ty) != not).collect();
        let new = match sorted(rule, 1.0, &body) {
            Outcome::Goes => {
                proptest::prop_assert_eq!(goes.len(), items.len());
                body
            }
            Outcome::Becomes(new) => new,
            outcome => {
                proptest::prop_assert_eq!(outcome, Outcome::NoItems);
                proptest::prop_assert!(goes.is_empty());
                return Ok(());
            }
        };
        let envelope = Envelope::read(&new).unwrap();
        proptest::prop_assert!(envelope.header.event_id.is_some());
        let found: Vec<_> = envelope.map(|item| item.unwrap()).collect();
        proptest::prop_assert_eq!(found.len(), goes.len());
        for (item, (ty, payload, _)) in found.iter().zip(goes) {
            proptest::prop_assert_eq!(&*item.header.ty, ty.as_str());
            proptest::prop_assert_eq!(item.payload, payload.as_slice());
        }
    }
}
