//! `import` reads what people have: large maps, Lua blocks, files in other encodings.

use crate::import_safely::{MAP, MIRROR, config, import, server};
use crate::{Folder, run};
use serde_json::Value;
use std::time::{Duration, Instant};

#[test]
fn six_hundred_entries_take_no_time() {
    for (name, entry) in [
        ("plain", "~^/api/ID/envelope/"),
        ("group", "\"~^/api/(?:ID)/envelope/\\?*\""),
    ] {
        let entries: String = (1..=600)
            .map(|id| {
                let entry = entry.replace("ID", &id.to_string());
                format!("{entry} /rum/sentry/w/s{id};\n")
            })
            .collect();
        let rules = server("location / { mirror /m; proxy_pass http://relay; }");
        let text = rules.replacen("~^/api/1/ /rum/sentry/w/one;", &entries, 1);
        let began = Instant::now();
        let ran = import(name, &text, &[]);
        let took = began.elapsed();
        let config = config(&ran);
        assert_eq!(config["rum"]["projects"]["600"]["service_id"], "s600");
        // Some 0.1 s with optimisation; this is without, and the machine may have other things to do.
        assert!(took < Duration::from_secs(60), "{name}: {took:?}");
    }
}

#[test]
fn what_openresty_and_other_encodings_bring() {
    let lua = "location / { mirror /m; proxy_pass http://relay;\n access_by_lua_block {\n -- don't }\n local a = \"}\" .. [[}]]\n } }";
    let ran = import("lua", &server(lua), &[]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.err
            .contains("access_by_lua_block, by which nginx may refuse requests"),
        "{}",
        ran.err
    );

    let folder = Folder::new("import-safely-gbk");
    let (before, after) = (
        "http { include maps/*.map; server { listen 80; # ",
        format!("\nlocation / {{ mirror /m; proxy_pass http://relay; }}\n{MIRROR} }} }}"),
    );
    let gbk = b"\xbe\xb5\xcf\xf1 \x81\x5c".as_slice();
    let file = folder.file("nginx.conf", "");
    std::fs::write(&file, [before.as_bytes(), gbk, after.as_bytes()].concat()).unwrap();
    let map = folder.file("maps/rum.map", "");
    std::fs::write(&map, [b"# ", gbk, b"\n", MAP.as_bytes()].concat()).unwrap();
    let ran = run(&["import", &file]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let config: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(config["rum"]["projects"]["1"]["service_id"], "one");
    let ran = run(&[
        "check",
        &folder
            .file("x.yaml", "a: b\n")
            .replace("x.yaml", "nginx.conf"),
    ]);
    assert!(
        ran.out.contains("no plugin configuration") || ran.status == 1,
        "{ran:?}"
    );
}
