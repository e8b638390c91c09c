//! Sizes and counts that are not true: of headers, bodies, replies, the configuration.

use super::mode::EVERYWHERE;
use super::{end_with_books, exchange};
use crate::edge::Edge;
use test_host::{Options, Profile, Reply, StartError};

const LIES: [u32; 5] = [
    0,
    1,
    i32::MAX.cast_unsigned(),
    i32::MAX.cast_unsigned() + 1,
    u32::MAX,
];

#[test]
fn what_is_told_of_sizes_may_be_wrong() {
    for (mode, profile) in EVERYWHERE {
        for lie in LIES {
            let mut edge = mode.start(profile);
            for _ in 0..3 {
                edge.host.claim_sizes(Some(lie));
                let seen = exchange(&mut edge, mode, &mode.ordinary(profile), 200);
                mode.check_exchange(&seen, true);
                edge.advance(700);
                for call in edge.calls() {
                    // One whose body is read.
                    edge.reply(
                        call.token,
                        &Reply::status(503).body(r#"{"errorCode": "Unauthorized"}"#),
                    );
                }
                edge.host.claim_sizes(None);
                let seen = exchange(&mut edge, mode, &mode.ordinary(profile), 200);
                mode.check_exchange(&seen, true);
                edge.advance(700);
                for call in edge.calls() {
                    edge.reply(call.token, &Reply::status(200));
                }
            }
            end_with_books(&mut edge, mode);
        }
    }
}

/// Too much is as much as there is; too little is no configuration.
#[test]
fn what_is_told_of_the_configurations_size_may_be_wrong() {
    for (mode, profile) in EVERYWHERE {
        for lie in LIES {
            let options = Options {
                claimed_size: Some(lie),
                ..mode.options(profile)
            };
            let mut edge = match mode.try_start(profile, options) {
                Ok(edge) => edge,
                Err(error) => {
                    let rejected = matches!(error, StartError::Rejected { .. });
                    assert!(
                        rejected && lie < 2 && profile == Profile::Envoy,
                        "{mode:?} {lie}: {error}"
                    );
                    continue;
                }
            };
            assert!(
                lie > 1 || profile == Profile::Nginx,
                "{mode:?} took {lie} bytes of its configuration"
            );
            edge.host.claim_sizes(None);
            mode.check_exchange(
                &exchange(&mut edge, mode, &mode.ordinary(profile), 200),
                true,
            );
            if lie > 1 {
                edge.advance(10);
                mode.check_books(&mut edge);
            }
        }
    }
}
