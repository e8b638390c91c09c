//! The rules for copies: those of `rum` apply to every project, and those of a project override them.

use crate::client_ip::ClientIp;
use crate::config::Mode;
use crate::config::node::Node;
use crate::config::reader::{Field, Object, Problem, Reader};
use crate::copies::rules::{Items, Rate, Rules, Sample};
use crate::copies::settings::Copies;
use crate::host::HostKind;
use crate::metric::Leg;
use crate::sls::record::is_known_type;
use std::rc::Rc;

/// More copies than a worker can make, and more bytes than a machine can send.
const MAX_COPIES: u64 = 1_000_000;
const MAX_BYTES: u64 = 4_000_000_000;
/// Every item's type is compared with each of them.
const MAX_TYPES: usize = 100;

/// Where the rules are to apply.
#[derive(Clone, Copy)]
pub(in crate::config) struct Place {
    pub(in crate::config) host: Option<HostKind>,
    pub(in crate::config) mode: Option<Mode>,
}

/// Reads the rules; what is not set is as in `base`. Any problem is reported, and the configuration is then refused.
pub(in crate::config) fn read(
    reader: &mut Reader<'_>,
    object: &mut Object<'_>,
    base: Rules,
    place: Place,
) -> Rules {
    let mut rules = base;
    if let Some(field) = object.take("client_ip") {
        rules.client_ip = client_ip(reader, &field, place).unwrap_or_default();
    }
    if let Some(field) = object.take("rate") {
        rules.rate = rate(reader, &field);
        in_place(reader, &field, rules.rate.is_some(), place);
    }
    if let Some(field) = object.take("sample") {
        rules.sample = reader
            .part(&field)
            .and_then(Sample::new)
            .unwrap_or_default();
        in_place(reader, &field, !rules.sample.is_all(), place);
    }
    if let Some(field) = object.take("items") {
        rules.items = items(reader, &field).map(Rc::new);
        in_place(reader, &field, rules.items.is_some(), place);
    }
    if let Some(field) = object.take("scrub") {
        rules.scrub = reader.boolean(&field).unwrap_or_default();
        in_place(reader, &field, rules.scrub, place);
    }
    if let Some(field) = object.take("unscrubbable") {
        let words = [("drop", false), ("send", true)];
        rules.sends_unscrubbable = reader.choice(&field, &words).unwrap_or_default();
    }
    if let Some(field) = object.take("encoding") {
        let words = [("identity", false), ("gzip", true)];
        rules.gzip = reader.choice(&field, &words).unwrap_or_default();
    }
    if let Some(field) = object.take("only_accepted") {
        rules.only_accepted = reader.boolean(&field).unwrap_or_default();
        if rules.only_accepted && is_rewrite(place) {
            let what = "mode `rewrite` sees no primary: its requests are copies, and the primary's answers go another way, got true";
            reader.problem(&field.path, what);
        }
    }
    rules
}

/// What is valid, but probably a mistake.
pub(in crate::config) fn warnings(leg: Leg, copies: &Copies) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (project, rules) in copies.rules() {
        let mut warn = |key: &str, message: String| {
            let path = match project {
                Some(id) => format!("{leg}.projects.{id}.{key}"),
                None => format!("{leg}.{key}"),
            };
            warnings.push(Problem {
                path,
                message,
                unset: None,
            });
        };
        if rules.sample.is_none() {
            let what = "0 leaves nothing but sessions, client reports and check-ins";
            warn(
                "sample",
                format!("{what}: {leg}.exclude is for projects that are not mirrored"),
            );
        }
        let types = rules.items.iter().flat_map(|items| items.types());
        let unknown: Vec<_> = types.filter(|ty| !is_known_type(ty)).collect();
        if !unknown.is_empty() {
            let what = "no SDK is known to send items of these types: ";
            warn("items", format!("{what}{unknown:?}"));
        }
    }
    warnings
}

fn is_rewrite(place: Place) -> bool {
    matches!(place.mode, Some(Mode::Rewrite { .. }))
}

/// A rule that decides which copies go.
fn in_place(reader: &mut Reader<'_>, field: &Field<'_>, decides: bool, place: Place) {
    if decides && is_rewrite(place) {
        let what = format!(
            "not in mode `rewrite`: the request itself goes on as the copy, before it is known whether it may; let what mirrors choose, got {}",
            field.node
        );
        reader.problem(&field.path, what);
    }
}

fn client_ip(reader: &mut Reader<'_>, field: &Field<'_>, place: Place) -> Option<ClientIp> {
    let client_ip = crate::config::client_ip(reader, field)?;
    let nginx = place.host == Some(HostKind::Nginx);
    if client_ip != ClientIp::Full && nginx && is_rewrite(place) {
        let what = format!(
            "on nginx the headers of a request that is forwarded in place are those of its location; leave X-Forwarded-For out there, got {}",
            field.node
        );
        reader.problem(&field.path, what);
    }
    Some(client_ip)
}

fn rate(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Rate> {
    let mut object = reader.object(field)?;
    let mut number = |key, max| {
        let field = object.take(key)?;
        Some(reader.integer(&field, 1..=max))
    };
    let copies = number("copies_per_s", MAX_COPIES);
    let bytes = number("bytes_per_s", MAX_BYTES);
    if copies.is_none() && bytes.is_none() {
        reader.expected(field, "copies_per_s, bytes_per_s, or both");
    }
    reader.finish(object);
    let narrow = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    Some(Rate {
        copies_per_s: narrow(copies.flatten()),
        bytes_per_s: narrow(bytes.flatten()),
    })
}

/// A list of types that are sent, or `{"not": [...]}` with those that are not.
fn items(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Items> {
    const WHAT: &str = "a list of item types, or {\"not\": [...]}";
    match field.node {
        Node::List(_) => types(reader, field).map(Items::Only),
        Node::Object(_) => {
            let mut object = reader.object(field)?;
            let Some(not) = object.take("not") else {
                reader.expected(field, WHAT);
                return None;
            };
            reader.finish(object);
            types(reader, &not).map(Items::Not)
        }
        _ => {
            reader.expected(field, WHAT);
            None
        }
    }
}

fn types(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    let fields = reader.list(field)?;
    if fields.is_empty() || fields.len() > MAX_TYPES {
        let what = format!("1 to {MAX_TYPES} item types");
        reader.expected(field, &what);
        return None;
    }
    // Collected first, so that every problem is reported at once.
    let types: Vec<_> = fields
        .iter()
        .map(|field| item_type(reader, field))
        .collect();
    types.into_iter().collect()
}

fn item_type(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.string(field)?;
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if text.is_empty() || !text.bytes().all(named) {
        reader.expected(field, "an item type, such as event");
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use crate::client_ip::ClientIp;
    use crate::config::Config;
    use crate::copies::rules::{Items, Rate, Rules, Sample};
    use crate::sentry::project::ProjectId;
    use std::rc::Rc;

    fn parse(root: &str, rum: &str, project: &str) -> Result<Config, Vec<String>> {
        let upstream = if root.contains("rewrite") {
            ""
        } else {
            r#""upstream": "rum.test:80","#
        };
        let json = format!(
            r#"{{{root} "rum": {{{upstream} "authority": "a", "default": {{"workspace": "w", "service_id": "s"}},
                "projects": {{"42": {{"workspace": "w", "service_id": "s42" {project}}}}} {rum}}}}}"#
        );
        let lookup = |name: &str| (name == "SAMPLE").then(|| "0.25".to_owned());
        Config::parse(json.as_bytes(), &lookup)
            .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
    }

    /// The rules of `default` and of project 42.
    fn rules(rum: &str, project: &str) -> [Rules; 2] {
        let rum = parse("", rum, project).unwrap().rum.unwrap();
        let project = &rum.projects[&ProjectId::parse(b"42").unwrap()];
        [rum.default.unwrap().rules.clone(), project.rules.clone()]
    }

    #[test]
    fn without_keys_there_are_no_rules() {
        let none = || [Rules::default(), Rules::default()];
        assert_eq!(rules("", ""), none());
        assert!(!Rules::default().decide());
        let off = r#", "client_ip": "full", "sample": 1, "only_accepted": false"#;
        assert_eq!(rules(off, ""), none());
    }

    #[test]
    fn a_projects_own_take_the_place_of_those_of_all() {
        let all = r#", "client_ip": "none", "rate": {"copies_per_s": 5, "bytes_per_s": 4000000000}, "sample": "0.5", "items": ["event", "log"], "scrub": true, "unscrubbable": "send", "encoding": "gzip", "only_accepted": true"#;
        let own = r#", "client_ip": "truncated", "rate": {"copies_per_s": 7}, "sample": "${SAMPLE}", "items": {"not": ["attachment"]}, "scrub": false, "unscrubbable": "drop", "encoding": "identity", "only_accepted": false"#;
        let rate = |copies_per_s, bytes_per_s| Rate {
            copies_per_s,
            bytes_per_s,
        };
        let expected = [
            Rules {
                client_ip: ClientIp::None,
                rate: Some(rate(Some(5), Some(4_000_000_000))),
                sample: Sample::new(0.5).unwrap(),
                items: Some(Rc::new(Items::Only(vec![
                    "event".to_owned(),
                    "log".to_owned(),
                ]))),
                scrub: true,
                sends_unscrubbable: true,
                gzip: true,
                only_accepted: true,
            },
            Rules {
                client_ip: ClientIp::Truncated,
                rate: Some(rate(Some(7), None)),
                sample: Sample::new(0.25).unwrap(),
                items: Some(Rc::new(Items::Not(vec!["attachment".to_owned()]))),
                scrub: false,
                sends_unscrubbable: false,
                gzip: false,
                only_accepted: false,
            },
        ];
        assert_eq!(rules(all, own), expected);
        let [all_of_it, own_of_it] = &expected;
        assert_eq!(rules(all, ""), [all_of_it.clone(), all_of_it.clone()]);
        assert_eq!(rules("", own), [Rules::default(), own_of_it.clone()]);
    }

    #[test]
    fn bad_ones_are_named() {
        for (rum, problem) in [
            (
                r#""client_ip": "half""#,
                r#"rum.client_ip: expected one of full, truncated, none, got "half""#,
            ),
            (
                r#""sample": 1.5"#,
                "rum.sample: expected a number from 0 to 1, got 1.5",
            ),
            (
                r#""sample": "1.5""#,
                r#"rum.sample: expected a number from 0 to 1, got "1.5""#,
            ),
            (
                r#""rate": {}"#,
                "rum.rate: expected copies_per_s, bytes_per_s, or both, got an object of 0",
            ),
            (
                r#""rate": {"copies_per_s": 0}"#,
                "rum.rate.copies_per_s: expected an integer from 1 to 1000000, got 0",
            ),
            (
                r#""rate": {"bytes_per_s": 1, "copies": 1}"#,
                "rum.rate.copies: unknown key (expected one of copies_per_s, bytes_per_s), got 1",
            ),
            (
                r#""items": []"#,
                "rum.items: expected 1 to 100 item types, got a list of 0",
            ),
            (
                r#""items": {"not": []}"#,
                "rum.items.not: expected 1 to 100 item types, got a list of 0",
            ),
            (
                r#""items": "event""#,
                r#"rum.items: expected a list of item types, or {"not": [...]}, got "event""#,
            ),
            (
                r#""items": ["event", ""]"#,
                r#"rum.items[1]: expected an item type, such as event, got """#,
            ),
            (
                r#""only_accepted": 1"#,
                "rum.only_accepted: expected true or false, got 1",
            ),
        ] {
            let found = parse("", &format!(", {rum}"), "").unwrap_err();
            assert_eq!(found, [problem]);
            let found = parse("", "", &format!(", {rum}")).unwrap_err();
            assert_eq!(found, [problem.replace("rum.", "rum.projects.42.")]);
        }
    }

    #[test]
    fn mode_rewrite_only_takes_what_needs_no_decision() {
        let mode = r#""mode": "rewrite","#;
        for rule in [
            r#""sample": 0.5"#,
            r#""rate": {"copies_per_s": 1}"#,
            r#""items": ["event"]"#,
            r#""scrub": true"#,
            r#""only_accepted": true"#,
        ] {
            let found = parse(mode, &format!(", {rule}"), "").unwrap_err();
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("mode `rewrite`"), "{found:?}");
        }
        let harmless = r#", "sample": 1, "only_accepted": false"#;
        assert!(parse(mode, harmless, "").is_ok());
        let truncated = r#", "client_ip": "truncated""#;
        assert!(parse(mode, truncated, "").is_ok());
        let nginx = format!(r#"{mode} "host": "nginx","#);
        let found = parse(&nginx, truncated, "").unwrap_err();
        assert!(found[0].starts_with("rum.client_ip: on nginx"), "{found:?}");
        let nginx = r#""host": "nginx","#;
        assert!(parse(nginx, truncated, "").is_ok());
    }

    #[test]
    fn what_leaves_nothing_is_warned_of() {
        let warnings = |rum: &str, project: &str| -> Vec<String> {
            let warnings = parse("", rum, project).unwrap().warnings();
            warnings.into_iter().map(|warning| warning.path).collect()
        };
        assert_eq!(
            warnings(r#", "sample": 0"#, ""),
            ["rum.projects.42.sample", "rum.sample"]
        );
        assert_eq!(warnings("", r#", "sample": 0"#), ["rum.projects.42.sample"]);
        assert!(warnings(r#", "sample": 0.01"#, "").is_empty());
        // An unknown type is allowed, and reported.
        assert_eq!(
            warnings("", r#", "items": ["event", "evnt"]"#),
            ["rum.projects.42.items"]
        );
    }
}
